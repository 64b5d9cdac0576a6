"""A web server of the tests' own: files with and without ranges, cut off, slow, sent on, changed, and busy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What stands at an address. `cuts`: after how many bytes of the answer each next connection ends."""

    data: bytes = b""
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    honours_if_range: bool = True
    says_length: bool = True
    status: int = 200
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    location: str | None = None
    cuts: list[int] = field(default_factory=list)
    shift: int = 0
    block: int = 8192
    go_on: threading.Event | None = None
    """Before this is set, nothing but the head and the first block is sent, and of a later part the head alone."""


class Site:
    """The server, its pages by path, and every request that came: path and headers."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.ended = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

            def do_GET(self) -> None:
                site.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                with suppress(BrokenPipeError, ConnectionResetError):
                    site.answer(self)
                self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    @property
    def ranges(self) -> list[str | None]:
        """What part each request asked for."""
        return [headers.get("range") for _, headers in self.requests]

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        # a proxy is asked for the whole address
        path = handler.path.removeprefix(self.url.rstrip("/")) if handler.path.startswith("http") else handler.path
        page = self.pages.get(path)
        if page is None:
            handler.send_error(404)
            return
        status = page.statuses.pop(0) if page.statuses else page.status
        if page.location is not None:
            handler.send_response(302)
            handler.send_header("Location", page.location)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if status != 200:
            handler.send_response(status)
            for name, value in page.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        self._send(handler, page)

    def _send(self, handler: BaseHTTPRequestHandler, page: Page) -> None:
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        same = condition is None or condition in (page.etag, page.modified) or not page.honours_if_range
        start = 0
        if asked and page.ranges and same:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(page.data):
                handler.send_error(416)
                return
            start += page.shift
        body = page.data[start:]
        handler.send_response(206 if asked and page.ranges and same else 200)
        if asked and page.ranges and same:
            handler.send_header("Content-Range", f"bytes {start}-{len(page.data) - 1}/{len(page.data)}")
        if page.says_length:
            handler.send_header("Content-Length", str(len(body)))
        if page.etag:
            handler.send_header("ETag", page.etag)
        if page.modified:
            handler.send_header("Last-Modified", page.modified)
        handler.end_headers()
        end = page.cuts.pop(0) if page.cuts else len(body)
        for place in range(0, min(end, len(body)), page.block):
            if page.go_on is not None and (place or start):
                while not page.go_on.wait(0.02) and not self.ended.is_set():
                    pass
            handler.wfile.write(body[place : min(place + page.block, end)])
            handler.wfile.flush()


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()
    try:
        yield site
    finally:
        site.close()
