"""The server: nobody without the token learns anything, and nobody with it can do harm."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import AsyncIterator
from importlib import resources
from typing import Any

import aiohttp
import numpy as np
import pytest

from core.audition.clips import STREAMS, planar
from core.audition.room import Room
from core.audition.server import FILES, MOST_MESSAGE_BYTES, MOST_WAITING, Server, is_loopback, tunnel_line
from core.errors import UnbakeError
from tests.audition.audition_session import Heard

TOKEN = "right-token"


@pytest.fixture
async def server(heard: Heard) -> AsyncIterator[Server]:
    room = Room("a song")
    await room.show(*heard)
    found = Server(room, port=0, token=TOKEN)
    await found.start()
    yield found
    await found.stop()
    await room.close()


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def ask(server: Server, head: str, headers: str | None = None) -> tuple[int, str, bytes]:
    """Status, headers and body of a request that is sent as it stands."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    headers = f"Host: 127.0.0.1:{server.port}\r\n" if headers is None else headers
    writer.write(f"{head} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n".encode("latin-1"))
    answer = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    top, _, body = answer.partition(b"\r\n\r\n")
    status, _, rest = top.decode().partition("\r\n")
    return int(status.split()[1]), rest, body


async def clip_path(server: Server) -> str:
    clip = server._room.clip
    assert clip is not None
    return f"clip/{clip.id}/0"


WITHOUT_TOKEN = [
    "/",
    "//",
    "/x",
    "/wrong/",
    "/wrong/page.js",
    "/wrong/ws",
    "/wrong/clip/a/0/source",
    "/page.js",
    "/ws",
    "/favicon.ico",
    "/right-toke/",
    "/right-token2/",
    "/RIGHT-TOKEN/",
    "//right-token/",
    "/./right-token/",
    "/x/../right-token/",
    "/%2e%2e/right-token/",
    "/right%2Dtoken/",
    "/right-token%2F",
    "/right-token%2fpage.js",
    "/right-token%00/",
    "/%0a",
    "/%ff/",
    "/\xff\xfe/",
    "/%ed%a0%80/",
    "/?token=right-token",
    "/wrong/?right-token",
    "http://127.0.0.1/right-token/",
    "http://127.0.0.1/wrong/",
    "*",
    "/" + "a" * 6000,
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PROPFIND"])
async def test_without_the_token_there_is_an_empty_403_and_no_hint(server: Server, method: str) -> None:
    for path in WITHOUT_TOKEN:
        status, headers, body = await ask(server, f"{method} {path}")
        assert (status, body) == (403, b""), path
        assert not re.search("unbake|aiohttp|python|token", headers, re.IGNORECASE), headers
        assert "location" not in headers.lower()


INSIDE = {
    "": 200,
    "?x=1": 200,
    "page.css": 200,
    "page.js?v": 200,
    "..": 404,
    "../x": 404,
    "../right-token/": 404,
    "%2e%2e/page.js": 404,
    "./page.js": 404,
    "/page.js": 404,
    "page.js/": 404,
    "page%2ejs": 404,
    "../server.py": 404,
    "page/../../server.py": 404,
    "..%2fserver.py": 404,
    "/etc/passwd": 404,
    "page.js%00": 404,
    "page": 404,
    "clip": 404,
    "clip/": 404,
    "clip/x/0/source": 404,
    "clip/../../etc/0/source": 404,
    "ws/": 404,
    "ws": 400,
}


async def test_what_is_no_http_gets_the_same(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    for head in ("\x16\x03\x01", "GET", "GET /right-token/ x", f"GET /{TOKEN}/\xe4", "GET /" + "a" * 20_000):
        status, headers, body = await ask(server, head)
        assert (status, body) == (403, b"")
        assert not re.search("aiohttp|python", headers, re.IGNORECASE)
    assert (await ask(server, f"GET /{TOKEN}/", "Host: 127.0.0.1\r\nContent-Length: x\r\n"))[0] == 403
    assert not caplog.records, "nothing is written over the terminal"


async def test_inside_there_is_the_page_and_nothing_else(server: Server) -> None:
    for path, expected in INSIDE.items():
        status, _, body = await ask(server, f"GET /{TOKEN}/{path}")
        assert status == expected, path
        assert bool(body) == (status == 200), path
    assert (await ask(server, f"GET /{TOKEN}"))[0] == 200
    for tail in ("0/master", "x/source", "-1/source", "9999/source", "9" * 30 + "/source", "%31/source", "0", "0/"):
        clip = (await clip_path(server)).rpartition("/")[0]
        status, _, _ = await ask(server, f"GET /{TOKEN}/{clip}/{tail}")
        assert status == 404, tail


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
async def test_there_is_nothing_to_do_but_get(server: Server, method: str) -> None:
    for path in ("", "page.js", "ws", await clip_path(server) + "/source", "nowhere"):
        status, headers, body = await ask(server, f"{method} /{TOKEN}/{path}")
        assert (status, body) == (405, b"")
        assert "Allow: GET" in headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "10.0.0.1"]
)
async def test_a_name_that_is_not_ours_gets_nothing_even_with_the_token(server: Server, host: str) -> None:
    """A site whose name is made to lead to this machine (DNS rebinding) is told so apart."""
    for path in ("", "page.js", "ws", await clip_path(server) + "/source"):
        status, _, body = await ask(server, f"GET /{TOKEN}/{path}", f"Host: {host}\r\n")
        assert (status, body) == (403, b"")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9000", "localhost", "localhost:9000", "[::1]:9000"])
async def test_over_a_tunnel_the_port_may_be_another(server: Server, host: str) -> None:
    assert (await ask(server, f"GET /{TOKEN}/", f"Host: {host}\r\n"))[0] == 200


async def test_a_page_of_another_site_gets_no_line(server: Server, web: aiohttp.ClientSession) -> None:
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{server.port + 1}", "https://127.0.0.1"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await web.ws_connect(server.url + "ws", origin=origin)
        assert refused.value.status == 403
    async with web.ws_connect(server.url + "ws", origin=f"http://127.0.0.1:{server.port}") as line:
        assert (await line.receive_json())["type"] == "hello"


async def test_the_page_asks_nobody_else(server: Server, web: aiohttp.ClientSession) -> None:
    folder = resources.files("core.audition").joinpath("page")
    assert {name for name, _ in FILES.values()} == {each.name for each in folder.iterdir()}
    for path, (name, kind) in FILES.items():
        async with web.get(server.url + path) as answer:
            text = await answer.text()
            assert answer.content_type == kind
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", text))
        assert addresses <= {"http://www.w3.org/2000/svg", "//www.w3.org/2000/svg"}, name


async def test_a_segment_is_given_bit_for_bit_and_may_be_kept(server: Server, web: aiohttp.ClientSession) -> None:
    path = await clip_path(server)
    clip = server._room.clip
    assert clip is not None
    made = server._room.segment(clip.id, 0)
    assert made is not None
    for stream in STREAMS:
        async with web.get(f"{server.url}{path}/{stream}") as answer:
            found = planar(await answer.read(), clip.channels)
            assert "immutable" in answer.headers["Cache-Control"]
            assert "private" in answer.headers["Cache-Control"]
        assert np.array_equal(found, planar(made.streams[stream], clip.channels))


async def test_a_file_that_can_not_be_read_is_said_in_a_line(
    server: Server, web: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise UnbakeError("no such file or folder", where="bass.wav")

    monkeypatch.setattr(Room, "segment", refuse)
    async with web.get(server.url + "clip/x/0/source") as answer:
        assert (answer.status, await answer.text()) == (409, "bass.wav: no such file or folder")


async def test_bad_messages_close_their_own_page_only(server: Server, web: aiohttp.ClientSession) -> None:
    good = await web.ws_connect(server.url + "ws")
    for bad, code in (
        ("nonsense", 1008),
        ('{"type":"own"}', 1008),
        ('{"type":"choose","more":' + "[" * 1800 + "]" * 1800 + "}", 1008),
        ("x" * (MOST_MESSAGE_BYTES + 1), 1009),
        ("x" * (8 << 20), 1009),
        (b"\x00\x01", 1000),
    ):
        line = await web.ws_connect(server.url + "ws")
        with contextlib.suppress(ConnectionError):
            await (line.send_bytes(bad) if isinstance(bad, bytes) else line.send_str(bad))
        while (message := await asyncio.wait_for(line.receive(), 10)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert line.close_code in (code, 1006), (bad[:20], message)
        await line.close()
    await good.send_str('{"type":"choose","stream":"source","order":0}')
    await until(lambda: server._room.state.stream == "source")
    await until(lambda: server._room.state.pages == 1)
    await good.close()
    await until(lambda: server._room.state.pages == 0)


async def until(true: Any) -> None:
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")


async def test_who_goes_in_the_middle_of_a_clip_harms_nobody(
    server: Server, web: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    path = await clip_path(server)
    for _ in range(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET /{TOKEN}/{path}/source HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        await reader.readexactly(500)
        writer.transport.abort()
    async with web.get(f"{server.url}{path}/source") as answer:
        assert answer.status == 200
        assert len(await answer.read()) > 1 << 20
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_page_that_takes_nothing_is_let_go_and_holds_nobody_up(
    server: Server, web: aiohttp.ClientSession
) -> None:
    good = await web.ws_connect(server.url + "ws")
    heard = 0

    async def hear() -> None:
        nonlocal heard
        async for _ in good:
            heard += 1

    hearing = asyncio.create_task(hear())
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(slow, ("127.0.0.1", server.port))
        head = f"GET /{TOKEN}/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        slow.send((head + key).encode())
        await until(lambda: server._room.state.pages == 2)
        told = 0
        while server._room.state.pages == 2:
            assert told < 50 * MOST_WAITING
            await server._room.overview([0.123] * 5_000)
            told += 1
            await until(lambda told=told: heard >= told)  # the other one has everything at once
        assert server._room.state.pages == 1
    await good.close()
    await hearing


async def test_a_port_that_is_taken_is_said_in_a_line(server: Server) -> None:
    second = Server(Room("other"), port=server.port)
    with pytest.raises(UnbakeError) as refused:
        await second.start()
    assert f"127.0.0.1, port {server.port}: can't listen there" in refused.value.line()
    assert "--port" in refused.value.line()
    await second.stop()
    for other in (Server(Room("x"), port=70_000), Server(Room("x"), host="192.0.2.1", port=0)):
        with pytest.raises(UnbakeError, match="can't listen there"):
            await other.start()


async def test_without_a_port_it_takes_the_next_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        base = probe.getsockname()[1]
    monkeypatch.setattr("core.audition.server.PORT", base)
    servers = [Server(Room("x")) for _ in range(3)]
    for each in servers:
        await each.start()
    ports = [each.port for each in servers]
    assert len(set(ports)) == 3
    assert base <= min(ports)
    assert max(ports) < base + 10
    for each in servers:
        await each.stop()


async def test_it_listens_on_this_machine_only_and_the_token_is_random(server: Server) -> None:
    assert server._runner is not None
    assert server._runner.addresses == [("127.0.0.1", server.port)]
    assert server.url == f"http://127.0.0.1:{server.port}/{TOKEN}/"
    tokens = {Server(Room("x")).token for _ in range(20)}
    assert len(tokens) == 20
    assert all(re.fullmatch(r"[\w-]{32,}", token) for token in tokens)


async def test_stopping_closes_every_line(server: Server, web: aiohttp.ClientSession) -> None:
    line = await web.ws_connect(server.url + "ws")
    await asyncio.wait_for(server.stop(), 10)
    while (await asyncio.wait_for(line.receive(), 10)).type is aiohttp.WSMsgType.TEXT:
        pass
    assert line.closed
    with pytest.raises(aiohttp.ClientConnectorError):
        await web.get(server.url)


@pytest.mark.parametrize(
    ("environment", "here", "line"),
    [
        (
            {"USER": "ann", "SSH_CONNECTION": "10.0.0.9 5022 10.0.0.1 22"},
            "127.0.0.1",
            "ssh -N -L 8765:127.0.0.1:8765 ann@10.0.0.1",
        ),
        (
            {"USER": "ann", "SSH_CONNECTION": "::1 5022 fe80::2 2222"},
            "::1",
            "ssh -N -p 2222 -L 8765:[::1]:8765 ann@fe80::2",
        ),
        ({"LOGNAME": "bob"}, "127.0.0.1", f"ssh -N -L 8765:127.0.0.1:8765 bob@{socket.gethostname()}"),
    ],
)
def test_the_tunnel_is_a_line_to_type(environment: dict[str, str], here: str, line: str) -> None:
    assert tunnel_line(8765, environment, here) == line


def test_what_is_this_machine_alone() -> None:
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"))
    assert not any(is_loopback(host) for host in ("", "0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.evil"))
