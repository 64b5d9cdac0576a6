"""The listening page over HTTP: a loopback server whose every address begins with a secret.

It serves one page of our own, segments of sound, and a WebSocket for transport; nothing else, and nobody without the
token, who gets an empty 403. `ssh -L` brings it to the engineer's own browser.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import hmac
import ipaddress
import os
import secrets
import socket
from importlib import resources
from typing import Final

from aiohttp import WSMsgType, web

from core.audition.clips import STREAMS
from core.audition.room import Page, Room
from core.errors import UnbakeError

PORT: Final = 8765
TRIED_PORTS: Final = 10
"""From `PORT` on, when none was asked for."""
MOST_MESSAGE_BYTES: Final = 4096
MOST_WAITING: Final = 256
"""Messages, and"""
SLOW_SECONDS: Final = 10.0
"""for one of them: a page that takes nothing off its line for longer is let go."""
FILES: Final = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "picture.js": ("picture.js", "text/javascript"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "",
}
"""Of every answer; what serves it is nobody's business."""


class _Handler(web.RequestHandler):
    """What is no HTTP gets what a wrong token gets, and isn't written over the terminal."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that can't be read; one that failed here is a defect of ours, and logged."""
        if status == 500:
            return super().handle_error(request, status, exc, message)
        response = web.Response(status=403, headers=HEADERS)
        response.force_close()
        return response


class _Listener(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Handler(self, loop=asyncio.get_running_loop(), **self._kwargs)


class Server:
    """Serves a room on one port. `start` and `stop` belong to the room's event loop.

    `host` other than a loopback address has to be asked for. `token` is made here unless given, for tests.
    """

    def __init__(
        self, room: Room, *, host: str = "127.0.0.1", port: int | None = None, token: str | None = None
    ) -> None:
        self._room = room
        self._host = host
        self._ports = range(PORT, PORT + TRIED_PORTS) if port is None else range(port, port + 1)
        self.token = token or secrets.token_urlsafe(24)
        self.port = 0
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        """What the engineer opens, on the machine that the browser is on."""
        everywhere = self._host in ("", "0.0.0.0", "::")
        return f"http://{_bracketed(socket.gethostname() if everywhere else self._host)}:{self.port}/{self.token}/"

    @property
    def tunnel(self) -> str:
        """The line that brings the port to another machine."""
        here = self._host if self._local else "127.0.0.1"
        return tunnel_line(self.port, dict(os.environ), here)

    @property
    def _local(self) -> bool:
        return is_loopback(self._host)

    async def start(self) -> None:
        """Opens the port. Raises UnbakeError when it is taken, or the address is not this machine's."""
        # no router: every request whatever comes by our own question for the token first
        runner = self._runner = web.ServerRunner(_Listener(self._answer, access_log=None), shutdown_timeout=1.0)
        await runner.setup()
        for port in self._ports:
            try:
                await web.TCPSite(runner, self._host, port).start()
            except (OSError, OverflowError) as error:
                if port != self._ports[-1]:
                    continue
                await runner.cleanup()
                ports = f"port {port}" if len(self._ports) == 1 else f"ports {self._ports[0]} to {port}"
                reason = getattr(error, "strerror", None) or str(error)
                raise UnbakeError(
                    f"can't listen there: {reason}", where=f"{self._host}, {ports}", remedy="--port N"
                ) from error
            self.port = runner.addresses[0][1]
            return

    async def stop(self) -> None:
        """Closes the port, and every page's line."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        # as it was sent, undecoded: our own addresses need no escapes, so nothing else is ever taken for one
        token, _, path = request.raw_path.partition("?")[0].removeprefix("/").partition("/")
        right = hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self.token.encode())
        if not right or not self._expected(request):
            return web.Response(status=403, headers=HEADERS)
        if request.method != "GET":
            return web.Response(status=405, headers={**HEADERS, "Allow": "GET"})
        if path in FILES:
            name, kind = FILES[path]
            body = resources.files("core.audition").joinpath("page", name).read_bytes()
            return web.Response(body=body, content_type=kind, charset="utf-8", headers=HEADERS)
        if path == "ws":
            return await self._talk(request)
        if path.startswith("clip/"):
            return await self._clip(path.removeprefix("clip/"))
        return web.Response(status=404, headers=HEADERS)

    def _expected(self, request: web.BaseRequest) -> bool:
        """Whether a browser means us: other sites can make one ask, but not under our name, nor with our origin."""
        host = request.headers.get("Host", "")
        if self._local and not is_loopback(host.rpartition(":")[0] or host):
            return False
        origin = request.headers.get("Origin")
        return origin is None or origin.partition("://")[2] == host

    async def _clip(self, path: str) -> web.StreamResponse:
        clip_id, _, rest = path.partition("/")
        number, _, stream = rest.partition("/")
        if stream not in STREAMS or not number.isascii() or not number.isdigit() or len(number) > 9:
            return web.Response(status=404, headers=HEADERS)
        try:
            segment = await asyncio.to_thread(self._room.segment, clip_id, int(number))
        except UnbakeError as error:
            return web.Response(status=409, text=error.line(), headers=HEADERS)
        if segment is None:
            return web.Response(status=404, headers=HEADERS)
        # its address says what is in it, so it may be kept
        headers = {**HEADERS, "Cache-Control": "private, max-age=3600, immutable"}
        return web.Response(body=segment.streams[stream], content_type="application/octet-stream", headers=headers)

    async def _talk(self, request: web.BaseRequest) -> web.StreamResponse:
        line = web.WebSocketResponse(max_msg_size=MOST_MESSAGE_BYTES, heartbeat=20.0, compress=False)
        line.headers.update(HEADERS)
        if not line.can_prepare(request):
            return web.Response(status=400, headers=HEADERS)
        await line.prepare(request)
        waiting: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)

        def hang_up() -> None:
            if request.transport is not None:
                request.transport.abort()

        def send(text: str) -> None:
            try:
                waiting.put_nowait(text)
            except asyncio.QueueFull as error:
                hang_up()
                raise ConnectionResetError("the page takes nothing") from error

        async def write() -> None:
            try:
                while True:
                    text = await waiting.get()
                    async with asyncio.timeout(SLOW_SECONDS):
                        await line.send_str(text)
            except (TimeoutError, ConnectionError):
                hang_up()

        page = Page(send)
        writer = asyncio.create_task(write())
        try:
            await self._room.enter(page)
            async for message in line:
                if message.type is not WSMsgType.TEXT:
                    break
                try:
                    await self._room.hear(page, message.data)
                except ValueError:
                    await line.close(code=1008)
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            await self._room.leave(page)
        return line


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def tunnel_line(port: int, environment: dict[str, str], here: str = "127.0.0.1") -> str:
    """The ssh command to type on the engineer's own machine, which brings `port` of our address `here` to it.

    The machine's address is the one that this session came by, as `SSH_CONNECTION` in the environment says.
    """
    user = environment.get("USER") or environment.get("LOGNAME") or _user()
    connection = environment.get("SSH_CONNECTION", "").split()
    host, ssh_port = (connection[2], connection[3]) if len(connection) == 4 else (socket.gethostname(), "22")
    other_port = "" if ssh_port == "22" else f"-p {ssh_port} "
    return f"ssh -N {other_port}-L {port}:{_bracketed(here)}:{port} {user}@{host}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        return "USER"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
