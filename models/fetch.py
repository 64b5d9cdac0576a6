"""Files of weights from the network: whole, checked and durable before they get their name, resumed where they stopped.

Nothing here is called unless a person asked for a file. Beside the file that is wanted grows `NAME.part`, and what its
server said of it lies in `NAME.part.from`: a transfer that was cut off, stopped or killed goes on from there, if the
server still has the same file. What a person is told and asked before is left to the caller.
"""

from __future__ import annotations

import contextlib
import email.utils
import fcntl
import hashlib
import http.client
import os
import queue
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from email.message import Message
from http.client import HTTPMessage
from importlib.metadata import version
from pathlib import Path
from typing import IO, NamedTuple, NoReturn
from urllib.parse import urlsplit

import msgspec

from core.atomic import check_room, size_in_words, sync, write_error
from core.errors import UnbakeError, os_error
from core.events import Event, Note, Operation, Progress
from models.weights import Weights

Mirrors = Mapping[str, Sequence[str]]
"""What the beginning of an address is replaced by, the first first: `{"https://there/": ["https://nearer/"]}`."""
Steps = Generator[Event, None, None]

SILENCE_SECONDS = 30.0
"""A server that says nothing for so long has gone."""
WAITS_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Between tries that brought nothing; one that brought something begins anew with the first."""
LONGEST_WAIT_SECONDS = 60.0
"""Of what a server asks for at most."""
LOOK_SECONDS = 0.2
"""How often a wait lets its caller see to other things, such as a cancel."""
BLOCK_BYTES = 1 << 18
BLOCKS_AHEAD = 16
HASHED_BYTES = 1 << 23
BUSY = frozenset((408, 425, 429, 500, 502, 503, 504))
"""What servers answer that may go better a little later."""
LOCAL = frozenset(("localhost", "127.0.0.1", "::1"))
"""Hosts that may be spoken to without TLS."""
BY_HAND = {
    "drive.google.com": "Google Drive",
    "docs.google.com": "Google Drive",
    "drive.usercontent.google.com": "Google Drive",
    "mega.nz": "MEGA",
    "mega.co.nz": "MEGA",
    "disk.yandex.ru": "Yandex Disk",
    "disk.yandex.com": "Yandex Disk",
    "www.mediafire.com": "MediaFire",
}
"""Sites that give a file only to who looks at their page in a browser."""
OFFLINE_REMEDY = "is this machine online? see docs/models.md for mirrors, and for files that are brought by hand"


class UnavailableError(UnbakeError):
    """An address gives nothing that can be used; another one might."""


def fetch(weights: Weights, *, name: str, mirrors: Mirrors | None = None) -> Operation[Path]:
    """Brings one file of weights to where `weights.path()` says. `name` is the model's, for what is said meanwhile.

    A file that is there and right is left alone. Two that fetch the same file at once are safe: the second waits for
    the first. Closing keeps what has arrived. Raises UnbakeError for a disk without room, an address that can't be
    reached or gives something else, and a site that has to be gone to by hand.
    """
    urls = addresses(weights.url, mirrors or {}, name)
    path = weights.path()
    if (yield from _is_here(weights, path, name)):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise os_error(error, path.parent) from error
    with contextlib.closing(Part(path)) as part:
        yield from _claim(part, weights, name)
        if (yield from _is_here(weights, path, name)):  # another one brought it meanwhile
            part.restart()
            return path
        for place, url in enumerate(urls):
            try:
                yield from _Fetch(part, weights, url, name).run()
            except UnavailableError as error:
                if place + 1 == len(urls):
                    raise
                yield Note(f"{error.line()}; trying the next mirror")
            else:
                break
        part.finish()
    return path


def _is_here(weights: Weights, path: Path, name: str) -> Operation[bool]:
    if _size(path) != weights.bytes:
        return False
    return (yield from _digest(path, f"checking {name}")) == weights.sha256


def addresses(url: str, mirrors: Mirrors, name: str) -> list[str]:
    """Where a file is to be asked for: its own address, or the mirrors that its longest known beginning is replaced by.

    Raises UnbakeError for an address that no program can fetch from.
    """
    known = max((beginning for beginning in mirrors if url.startswith(beginning)), key=len, default="")
    urls = [other + url.removeprefix(known) for other in mirrors[known]] if known else [url]
    for each in urls:
        _check_address(each, name)
    return urls


def part_of(path: Path) -> Path:
    """Where the beginning of a file lies until all of it is there."""
    return path.with_name(f"{path.name}.part")


def arrived(path: Path) -> int:
    """How many bytes of a file an earlier fetch has left."""
    return _size(part_of(path))


def forget(path: Path) -> None:
    """Removes what an earlier fetch of a file has left. Raises OSError."""
    for each in (part_of(path), _origin_of(path)):
        each.unlink(missing_ok=True)


def _check_address(url: str, name: str) -> None:
    try:
        split = urlsplit(url)
        host = split.hostname or ""
    except ValueError as error:
        raise UnbakeError(f"not an address: {error}", where=url) from error
    site = BY_HAND.get(host)
    if site is not None:
        what = f"{site} gives files only to a browser, so this one can't be fetched"
        remedy = f"open the address in a browser, save the file, then: unbake models add FILE --card {name}"
        raise UnbakeError(what, where=url, remedy=remedy)
    if split.scheme != "https" and not (split.scheme == "http" and host in LOCAL):
        raise UnbakeError("only https:// addresses are fetched from", where=url)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise os_error(error, path) from error


def _origin_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part.from")


class Origin(msgspec.Struct, frozen=True):
    """Whose bytes a part has: the address, and by what its server knows this version of the file ("" for nothing)."""

    url: str
    validator: str


class Part:
    """The file as far as it has arrived. One process at a time has it, by a lock that goes away with that process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.resumed = False
        """Whether its bytes came in more than one transfer, which may have been of different files."""
        self._file: IO[bytes] | None = None
        self.size = 0

    def claim(self) -> bool:
        """Takes the lock if it is free; whether that worked."""
        path = part_of(self.path)
        try:
            while True:
                file = path.open("ab")
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    file.close()
                    return False
                except OSError:
                    file.close()
                    raise
                # it may have got its name, or have been removed, between opening and locking
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                        break
                file.close()
            self._file, self.size = file, file.seek(0, os.SEEK_END)
        except OSError as error:
            raise write_error(error, path) from error
        self.resumed = self.size > 0
        return True

    @property
    def origin(self) -> Origin | None:
        """Whose bytes these are, where that is known."""
        try:
            return msgspec.json.decode(_origin_of(self.path).read_bytes(), type=Origin)
        except (OSError, msgspec.MsgspecError):
            return None

    def begin(self, origin: Origin) -> None:
        """Notes whose bytes follow."""
        self.resumed = self.resumed or self.size > 0
        if origin != self.origin:
            try:
                _origin_of(self.path).write_bytes(msgspec.json.encode(origin))
            except OSError as error:
                raise write_error(error, self.path) from error

    def append(self, data: bytes) -> None:
        """Writes what follows. A disk that is full keeps what there was room for."""
        assert self._file is not None
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise write_error(error, self.path) from error
        self.size += len(data)

    def restart(self) -> None:
        """Forgets all bytes."""
        assert self._file is not None
        self._file.truncate(0)
        self.size, self.resumed = 0, False
        _origin_of(self.path).unlink(missing_ok=True)

    def finish(self) -> None:
        """Gives the file its name, durably."""
        assert self._file is not None
        try:
            os.fsync(self._file.fileno())
            part_of(self.path).replace(self.path)
            _origin_of(self.path).unlink(missing_ok=True)
            sync(self.path.parent)
        except OSError as error:
            raise write_error(error, self.path) from error

    def close(self) -> None:
        """Gives the lock back. A part without a byte goes away."""
        file, self._file = self._file, None
        if file is not None:
            with file, contextlib.suppress(OSError):
                if self.size == 0 and os.path.samestat(os.fstat(file.fileno()), part_of(self.path).stat()):
                    forget(self.path)


def _claim(part: Part, weights: Weights, name: str) -> Steps:
    """Waits for its turn."""
    if part.claim():
        return
    yield Note(f"another unbake is fetching {name}: waiting for it")
    while not part.claim():
        yield Progress(f"waiting for {name}", arrived(part.path), weights.bytes, in_bytes=True)
        time.sleep(LOOK_SECONDS)


class _Fetch:
    """A file from one address into a part."""

    def __init__(self, part: Part, weights: Weights, url: str, name: str) -> None:
        self.part, self.weights, self.url, self.name = part, weights, url, name
        self.answered = False
        """Whether the server has ever answered: only then it is waited for when it is silent."""
        self.most = part.size

    def run(self) -> Steps:
        """Has all bytes of the card's file in the part. A mixture of two files, which its hash tells, is made anew."""
        part = self.part
        if part.size > self.weights.bytes:
            part.restart()
        while True:
            check_room(part.path, self.weights.bytes - part.size)
            yield from self._arriving()
            digest = yield from _digest(part_of(part.path), f"checking {self.name}")
            if digest == self.weights.sha256:
                return
            resumed = part.resumed
            part.restart()
            if not resumed:
                what = f"gives another file than the card's: its SHA-256 is {digest} instead of {self.weights.sha256}"
                raise UnavailableError(
                    what, where=self.url, remedy="its site may have changed it; nothing of it is kept"
                )
            self.most = 0
            yield Note(f"{self.name}: what was resumed is not the card's file: fetching all of it again")

    def _arriving(self) -> Steps:
        """Fetches what the part lacks, in as many tries as it takes."""
        part, failures = self.part, 0
        while part.size < self.weights.bytes:
            try:
                yield from self._transfer()
            except _CutError as cut:
                failures = 1 if part.size > self.most else failures + 1
                self.most = max(self.most, part.size)
                if (cut.unreachable and not self.answered) or failures > len(WAITS_SECONDS):
                    kept = f"; {size_in_words(part.size)} are kept, asked again it goes on there" if part.size else ""
                    raise UnavailableError(f"{cut}{kept}", where=_host(self.url), remedy=cut.remedy) from cut
                wait = min(max(WAITS_SECONDS[failures - 1], cut.wait_seconds), LONGEST_WAIT_SECONDS)
                yield Note(f"{self.name}: {cut}; trying again in {wait:.0f} s")
                end = time.monotonic() + wait
                while (left := end - time.monotonic()) > 0:
                    yield self._progress()
                    time.sleep(min(LOOK_SECONDS, left))

    def _progress(self) -> Progress:
        return Progress(f"fetching {self.name}", self.part.size, self.weights.bytes, in_bytes=True)

    def _transfer(self) -> Steps:
        """One request, and what it brings. Raises _CutError when that is not all."""
        part = self.part
        with contextlib.closing(_Reader(self.url, _headers(part, self.url))) as reader:
            while part.size < self.weights.bytes:
                yield self._progress()
                try:
                    said = reader.next(LOOK_SECONDS)
                except urllib.error.HTTPError as error:
                    self.answered = True
                    if error.code == 416 and part.size:  # the file there ends before what is here
                        part.restart()
                        raise _CutError("the server has no such part of the file") from error
                    _refused(error, self.url)
                except Exception as error:
                    raise _cut(error, self.url) from error
                if isinstance(said, _Answer):
                    self.answered = True
                    yield from self._heed(said)
                elif said:
                    self._take(said)
                elif said is not None:
                    done, whole = size_in_words(part.size), size_in_words(self.weights.bytes)
                    raise _CutError(f"the connection ended at {done} of {whole}")

    def _heed(self, answer: _Answer) -> Steps:
        """Sees to it that what follows is the rest of the same file."""
        part, length = self.part, self.weights.bytes
        if answer.total is not None and answer.total != length:
            what = f"the file there is {answer.total} bytes long where the card says {length}"
            raise UnavailableError(what, where=self.url, remedy="its site may have changed it")
        if answer.start != part.size:
            part.restart()
            if answer.start != 0:
                raise _CutError("the server sent another part of the file than was asked for")
            yield Note(f"{self.name}: the server begins the file anew")
        part.begin(Origin(self.url, answer.validator))

    def _take(self, data: bytes) -> None:
        if self.part.size + len(data) > self.weights.bytes:
            self.part.restart()
            what = f"the file there is longer than the {self.weights.bytes} bytes that the card says"
            raise UnavailableError(what, where=self.url, remedy="its site may have changed it")
        self.part.append(data)


def _headers(part: Part, url: str) -> dict[str, str]:
    """What is asked for: the rest, on condition that it is the rest of the same file, where the server can tell."""
    headers = {"User-Agent": f"unbake/{version('unbake')}", "Accept": "*/*", "Accept-Encoding": "identity"}
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
        origin = part.origin
        # another server's names for versions mean nothing to this one; the hash tells in the end
        if origin is not None and origin.url == url and origin.validator:
            headers["If-Range"] = origin.validator
    return headers


class _CutError(Exception):
    """A transfer that ended too early, or did not begin: `unreachable` where no server was found."""

    def __init__(
        self, what: str, *, unreachable: bool = False, wait_seconds: float = 0.0, remedy: str | None = None
    ) -> None:
        super().__init__(what)
        self.unreachable = unreachable
        self.wait_seconds = wait_seconds
        self.remedy = remedy


def _refused(error: urllib.error.HTTPError, url: str) -> NoReturn:
    """What a server's status means."""
    status = f"{error.code} {http.client.responses.get(error.code, '')}".strip()
    if error.code in BUSY:
        raise _CutError(f"the server is busy ({status})", wait_seconds=_wait_asked_for(error.headers)) from error
    if 300 <= error.code < 400:
        raise UnavailableError("sends on without end, or to what is no web address", where=url) from error
    if error.code in (401, 403, 407):
        remedy = "it may want a login: save the file with a browser, then unbake models add"
        raise UnavailableError(f"the server refuses to give the file ({status})", where=url, remedy=remedy) from error
    if error.code in (404, 410):
        remedy = "look for the file elsewhere, and hand it to unbake models add"
        raise UnavailableError(f"the file is not there any more ({status})", where=url, remedy=remedy) from error
    raise UnavailableError(f"the server answered {status}", where=url) from error


def _wait_asked_for(headers: Message) -> float:
    said = headers.get("Retry-After", "")
    if said.isdigit():
        return float(said)
    try:
        return email.utils.parsedate_to_datetime(said).timestamp() - time.time()
    except (TypeError, ValueError):
        return 0.0


def _cut(error: Exception, url: str) -> Exception:
    """What an exception of the network means."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        what = f"its certificate can't be verified ({reason.verify_message})"
        return UnavailableError(what, where=_host(url), remedy="set SSL_CERT_FILE to the certificates to be trusted")
    if isinstance(reason, socket.gaierror):
        return _CutError("can't be reached: no network, or no such name", unreachable=True, remedy=OFFLINE_REMEDY)
    if isinstance(reason, TimeoutError):
        what = f"said nothing for {SILENCE_SECONDS:.0f} s"
        return _CutError(what, unreachable=True, remedy=OFFLINE_REMEDY)
    if isinstance(reason, (OSError, http.client.HTTPException)) and not isinstance(error, UnbakeError):
        said = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        what = f"the connection failed ({said[:1].lower()}{said[1:]})"
        return _CutError(what, unreachable=True, remedy=OFFLINE_REMEDY)
    return error  # what is wrong was said already, or is a defect of ours


def _host(url: str) -> str:
    return urlsplit(url).netloc


class _Answer(NamedTuple):
    """What comes before the bytes: where they begin, the length of the whole file, the server's name of its version."""

    start: int
    total: int | None
    validator: str


class _Reader:
    """One request on a thread of its own, so that whoever waits for it can turn away at any moment."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._said: queue.Queue[_Answer | bytes | Exception] = queue.Queue(BLOCKS_AHEAD)
        self._gone = False
        request = urllib.request.Request(url, headers=dict(headers))
        threading.Thread(target=self._read, args=(request,), name="fetch", daemon=True).start()

    def next(self, seconds: float) -> _Answer | bytes | None:
        """The answer, then blocks, then b"" at the end; None when there was nothing for so long.

        Raises what ended the request.
        """
        try:
            said = self._said.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(said, Exception):
            raise said
        return said

    def close(self) -> None:
        """Has the thread leave, at the latest when the server was silent for long enough."""
        self._gone = True

    def _read(self, request: urllib.request.Request) -> None:
        try:
            with _opener().open(request, timeout=SILENCE_SECONDS) as response:
                self._say(_answer(response.status, response.headers))
                while not self._gone and (data := response.read1(BLOCK_BYTES)):
                    self._say(data)
            self._say(b"")
        except Exception as error:
            self._say(error)

    def _say(self, what: _Answer | bytes | Exception) -> None:
        while not self._gone:
            with contextlib.suppress(queue.Full):
                self._said.put(what, timeout=LOOK_SECONDS)
                return


def _answer(status: int, headers: HTTPMessage) -> _Answer:
    """Where the body of a response stands in the file."""
    etag = headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")  # a weak tag may name several files
    if status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", "").strip())
        if found is None:
            raise http.client.HTTPException("a part of the file without its place")
        return _Answer(int(found[1]), None if found[2] == "*" else int(found[2]), validator)
    length = headers.get("Content-Length", "")
    return _Answer(0, int(length) if length.isdigit() else None, validator)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server that sends on to another, but not off the encrypted line, nor to a page for people."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The request to the new address."""
        try:
            _check_address(newurl, "CARD")
        except UnbakeError as error:
            raise UnavailableError(f"sends on to {newurl}: {error.what}", where=req.full_url) from None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Asks by HTTP and HTTPS alone, through the proxies of the environment."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _digest(path: Path, stage: str) -> Operation[str]:
    """SHA-256 of a file, in lower-case hex."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            total, done = os.fstat(file.fileno()).st_size, 0
            while block := file.read(HASHED_BYTES):
                digest.update(block)
                done += len(block)
                yield Progress(stage, done, total, in_bytes=True)
    except OSError as error:
        raise os_error(error, path) from error
    return digest.hexdigest()
