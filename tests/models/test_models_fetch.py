"""Transfers against a server on this machine: resumed, checked, atomic, and clear about what went wrong."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from models_site import Page, Site, serving

from core.errors import UnbakeError
from core.events import Note, Operation, Progress, finish
from models import fetch
from models.weights import Weights

DATA = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off without the waiting, but as many tries."""
    monkeypatch.setattr(fetch, "WAITS_SECONDS", (0.01,) * 5)
    monkeypatch.setattr(fetch, "LOOK_SECONDS", 0.02)


def pinned(data: bytes = DATA, *, path: str = "net.ckpt") -> Weights:
    return Weights(
        url=f"https://weights.example/{path}",
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        format="torch",
    )


def mirrors(site: Site) -> dict[str, list[str]]:
    return {"https://weights.example/": [site.url]}


def fetching(site: Site, weights: Weights) -> Operation[Path]:
    return fetch.fetch(weights, name="mine", mirrors=mirrors(site))


def said(operation: Operation[Path]) -> tuple[Path, list[str]]:
    """What an operation gives, and its notes."""
    notes = []
    while True:
        try:
            event = next(operation)
        except StopIteration as stop:
            return stop.value, notes
        if isinstance(event, Note):
            notes.append(event.text)


def begun(site: Site, weights: Weights, data: bytes, *, etag: str = '"one"', url: str | None = None) -> Path:
    """As an earlier fetch, which was stopped after `data`, left it."""
    path = weights.path()
    path.parent.mkdir(parents=True, exist_ok=True)
    fetch.part_of(path).write_bytes(data)
    part = fetch.Part(path)
    assert part.claim()
    part.begin(fetch.Origin(url or f"{site.url}net.ckpt", etag))
    part.close()
    return path


def alone(path: Path) -> bool:
    """Whether nothing but the file lies in its folder."""
    return [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_file_arrives_whole_with_its_progress_in_bytes(site: Site) -> None:
    site.pages["/net.ckpt"] = Page(DATA)
    weights = pinned()
    events = []
    operation = fetching(site, weights)
    while True:
        try:
            events.append(next(operation))
        except StopIteration as stop:
            path = stop.value
            break
    assert path == weights.path()
    assert path.read_bytes() == DATA
    assert alone(path)
    progress = [each for each in events if isinstance(each, Progress)]
    assert {each.stage for each in progress} == {"fetching mine", "checking mine"}
    assert all(each.in_bytes and each.total == len(DATA) for each in progress)
    done = [each.done for each in progress if each.stage == "fetching mine"]
    assert done[0] == 0
    assert done == sorted(done)
    (_, headers), *more = site.requests
    assert not more
    assert headers["user-agent"].startswith("unbake/")
    assert set(headers) <= {"host", "user-agent", "accept", "accept-encoding", "connection"}


def test_what_is_here_and_right_is_not_asked_for_again(site: Site) -> None:
    site.pages["/net.ckpt"] = Page(DATA)
    finish(fetching(site, pinned()))
    finish(fetching(site, pinned()))
    assert len(site.requests) == 1


def test_a_file_that_rotted_on_the_disk_is_replaced(site: Site) -> None:
    site.pages["/net.ckpt"] = Page(DATA)
    path = finish(fetching(site, pinned()))
    path.write_bytes(OTHER)
    finish(fetching(site, pinned()))
    assert path.read_bytes() == DATA


def test_cuts_in_the_middle_are_resumed_where_they_were(site: Site) -> None:
    site.pages["/net.ckpt"] = Page(DATA, cuts=[100_000, 0, 50_000])
    path, notes = said(fetching(site, pinned()))
    assert path.read_bytes() == DATA
    assert site.ranges == [None, "bytes=100000-", "bytes=100000-", "bytes=150000-"]
    assert all(headers["if-range"] == '"one"' for _, headers in site.requests[1:])
    assert notes[0] == "mine: the connection ended at 100.0 kB of 300.0 kB; trying again in 0 s"
    assert len(notes) == 3


def test_a_connection_that_always_breaks_ends_with_what_is_kept(site: Site) -> None:
    site.pages["/net.ckpt"] = Page(DATA, cuts=[100_000] + [0] * 20)
    weights = pinned()
    with pytest.raises(UnbakeError, match=r"ended at 100.0 kB of 300.0 kB; 100.0 kB are kept, asked again it goes on"):
        finish(fetching(site, weights))
    assert len(site.requests) == 6
    assert not weights.path().exists()
    assert fetch.arrived(weights.path()) == 100_000
    site.pages["/net.ckpt"].cuts.clear()
    assert finish(fetching(site, weights)).read_bytes() == DATA
    assert site.ranges[-1] == "bytes=100000-"


def test_a_server_that_is_busy_is_asked_again(site: Site) -> None:
    site.pages["/net.ckpt"] = Page(DATA, statuses=[503, 429, 500], headers={"Retry-After": "0"})
    path, notes = said(fetching(site, pinned()))
    assert path.read_bytes() == DATA
    assert "the server is busy (503 Service Unavailable)" in notes[0]


def test_a_server_s_own_waiting_time_is_kept(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    monkeypatch.setattr(fetch, "LONGEST_WAIT_SECONDS", 0.05)
    for wait in ("7", "Wed, 21 Oct 2099 07:28:00 GMT"):
        site.pages["/net.ckpt"] = Page(DATA, statuses=[503], headers={"Retry-After": wait})
        began = time.monotonic()
        path, notes = said(fetching(site, pinned()))
        assert time.monotonic() - began >= 0.05
        assert "busy" in notes[0]
        path.unlink()


def test_a_part_of_another_version_is_not_built_upon(site: Site) -> None:
    weights = pinned()
    site.pages["/net.ckpt"] = Page(DATA, etag='"two"')
    begun(site, weights, OTHER[:90_000])
    path, notes = said(fetching(site, weights))
    assert path.read_bytes() == DATA
    assert notes == ["mine: the server begins the file anew"]
    assert len(site.requests) == 1


def test_a_server_that_changes_the_file_between_the_parts_and_does_not_say_so(site: Site) -> None:
    weights = pinned()
    site.pages["/net.ckpt"] = Page(DATA, etag=None, honours_if_range=False)
    begun(site, weights, OTHER[:90_000], etag="")
    path, notes = said(fetching(site, weights))
    assert path.read_bytes() == DATA
    assert notes == ["mine: what was resumed is not the card's file: fetching all of it again"]
    assert site.ranges == ["bytes=90000-", None]
    assert "if-range" not in site.requests[0][1]


def test_versions_are_known_by_their_date_where_there_is_no_strong_tag(site: Site) -> None:
    date = "Mon, 03 Aug 2026 10:00:00 GMT"
    site.pages["/net.ckpt"] = Page(DATA, etag='W/"weak"', modified=date, cuts=[80_000])
    finish(fetching(site, pinned()))
    assert site.requests[1][1]["if-range"] == date


def test_another_server_s_version_is_no_condition(site: Site) -> None:
    weights = pinned()
    site.pages["/net.ckpt"] = Page(DATA, etag='"other"')
    begun(site, weights, DATA[:120_000], url="https://elsewhere.example/net.ckpt")
    assert finish(fetching(site, weights)).read_bytes() == DATA
    ((_, headers),) = site.requests
    assert headers["range"] == "bytes=120000-"
    assert "if-range" not in headers


def test_a_server_without_ranges_begins_anew(site: Site) -> None:
    site.pages["/net.ckpt"] = Page(DATA, ranges=False, cuts=[100_000])
    path, notes = said(fetching(site, pinned()))
    assert path.read_bytes() == DATA
    assert notes[-1] == "mine: the server begins the file anew"


def test_a_server_that_sends_the_wrong_part_is_not_believed(site: Site) -> None:
    weights = pinned()
    site.pages["/net.ckpt"] = Page(DATA, shift=1)
    begun(site, weights, DATA[:100_000])
    path, notes = said(fetching(site, weights))
    assert path.read_bytes() == DATA
    assert "the server sent another part of the file than was asked for" in notes[0]


def test_416_forgets_the_part(site: Site) -> None:
    weights = pinned()
    site.pages["/net.ckpt"] = Page(DATA[:50_000])
    begun(site, weights, DATA[:60_000])
    with pytest.raises(UnbakeError, match="50000 bytes long where the card says 300000"):
        finish(fetching(site, weights))
    assert not list(weights.path().parent.iterdir())
    assert site.ranges == ["bytes=60000-", None]


def test_a_part_that_is_already_whole_needs_no_server(site: Site) -> None:
    weights = pinned()
    begun(site, weights, DATA)
    assert finish(fetching(site, weights)).read_bytes() == DATA
    assert site.requests == []


def test_a_part_that_is_too_long_is_made_anew(site: Site) -> None:
    weights = pinned()
    site.pages["/net.ckpt"] = Page(DATA)
    begun(site, weights, DATA + b"more")
    assert finish(fetching(site, weights)).read_bytes() == DATA


def test_another_file_of_the_same_length_is_refused_and_not_kept(site: Site) -> None:
    weights = pinned()
    site.pages["/net.ckpt"] = Page(OTHER)
    with pytest.raises(
        UnbakeError, match=f"another file than the card's: its SHA-256 is .* {weights.sha256}"
    ) as caught:
        finish(fetching(site, weights))
    assert caught.value.where == f"{site.url}net.ckpt"
    assert len(site.requests) == 1
    assert not list(weights.path().parent.iterdir())


@pytest.mark.parametrize("length", [299_999, 300_001, 12])
def test_a_file_of_another_length_is_refused_before_it_is_fetched(site: Site, length: int) -> None:
    weights = pinned()
    site.pages["/net.ckpt"] = Page((DATA + b"x")[:length], go_on=threading.Event())
    with pytest.raises(UnbakeError, match=f"the file there is {length} bytes long where the card says 300000"):
        finish(fetching(site, weights))
    assert not list(weights.path().parent.iterdir())


def test_a_length_that_is_not_said_is_found_out(site: Site) -> None:
    weights = pinned()
    site.pages["/net.ckpt"] = Page(DATA, says_length=False)
    assert finish(fetching(site, weights)).read_bytes() == DATA
    weights.path().unlink()
    site.pages["/net.ckpt"] = Page(DATA + b"x", says_length=False)
    with pytest.raises(UnbakeError, match="longer than the 300000 bytes"):
        finish(fetching(site, weights))
    site.pages["/net.ckpt"] = Page(DATA[:-1], says_length=False)
    with pytest.raises(UnbakeError, match=r"ended at 300.0 kB of 300.0 kB|no such part"):
        finish(fetching(site, weights))


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (404, r"not there any more \(404 Not Found\)"),
        (410, r"not there any more \(410 Gone\)"),
        (401, r"refuses to give the file \(401 Unauthorized\)"),
        (403, r"refuses to give the file \(403 Forbidden\)"),
        (418, r"answered 418"),
    ],
)
def test_a_refusal_is_final_and_keeps_what_is_there(site: Site, status: int, says: str) -> None:
    weights = pinned()
    site.pages["/net.ckpt"] = Page(DATA, status=status)
    begun(site, weights, DATA[:10_000])
    with pytest.raises(UnbakeError, match=says) as caught:
        finish(fetching(site, weights))
    assert caught.value.where == f"{site.url}net.ckpt"
    assert len(site.requests) == 1
    assert fetch.arrived(weights.path()) == 10_000


def test_redirects_are_followed_with_the_part_that_is_wanted(site: Site) -> None:
    with serving() as other:
        other.pages["/there"] = Page(DATA, cuts=[70_000])
        site.pages["/net.ckpt"] = Page(location=f"{other.url}there")
        assert finish(fetching(site, pinned())).read_bytes() == DATA
        assert [headers.get("range") for _, headers in other.requests] == [None, "bytes=70000-"]
        assert len(site.requests) == 2


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("/net.ckpt", "without end, or to what is no web address"),
        ("http://weights.example/net.ckpt", "http://weights.example/net.ckpt: only https:// addresses"),
        ("ftp://weights.example/net.ckpt", "ftp://weights.example/net.ckpt: only https:// addresses"),
        ("file:///etc/passwd", "without end, or to what is no web address"),
        ("https://drive.google.com/file/d/abc/view", "Google Drive gives files only to a browser"),
    ],
)
def test_redirects_that_lead_nowhere_are_refused(site: Site, location: str, says: str) -> None:
    site.pages["/net.ckpt"] = Page(location=location)
    with pytest.raises(UnbakeError, match=says):
        finish(fetching(site, pinned()))
    assert not list(pinned().path().parent.iterdir())


@pytest.mark.parametrize(
    "host", ["drive.google.com/file/d/1W/view?usp=sharing", "mega.nz/file/vM#f", "disk.yandex.ru/d/x"]
)
def test_sites_for_browsers_are_refused_with_the_way_round(host: str) -> None:
    weights = Weights(url=f"https://{host}", sha256="ab" * 32, bytes=1, format="torch")
    with pytest.raises(UnbakeError, match=r"gives files only to a browser.*unbake models add FILE --card mine"):
        finish(fetch.fetch(weights, name="mine"))


def test_a_mirror_stands_for_the_beginning_of_an_address(site: Site) -> None:
    site.pages["/near/net.ckpt"] = Page(DATA)
    both = {
        "https://weights.example/": ["https://nobody.invalid/"],
        "https://weights.example/far/": [f"{site.url}near/"],
    }
    weights = pinned(path="far/net.ckpt")
    assert finish(fetch.fetch(weights, name="mine", mirrors=both)).read_bytes() == DATA
    assert [path for path, _ in site.requests] == ["/near/net.ckpt"]


def test_a_mirror_that_has_it_not_gives_way_to_the_next(site: Site) -> None:
    site.pages["/right/net.ckpt"] = Page(DATA)
    site.pages["/wrong/net.ckpt"] = Page(OTHER)
    several = {"https://weights.example/": [f"{site.url}{each}/" for each in ("none", "wrong", "right")]}
    path, notes = said(fetch.fetch(pinned(), name="mine", mirrors=several))
    assert path.read_bytes() == DATA
    assert len(notes) == 2
    assert all(note.endswith("; trying the next mirror") for note in notes)


def test_a_mirror_without_encryption_is_for_this_machine_alone() -> None:
    with pytest.raises(UnbakeError, match="only https:// addresses are fetched from") as caught:
        finish(fetch.fetch(pinned(), name="mine", mirrors={"https://weights.example/": ["http://mirror.example/"]}))
    assert caught.value.where == "http://mirror.example/net.ckpt"


def test_no_network_is_one_clear_line_at_once(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    weights = pinned()
    begun(site, weights, DATA[:10_000])
    with pytest.raises(UnbakeError, match=r"^weights.example: can't be reached: no network, or no such name") as caught:
        finish(fetch.fetch(weights, name="mine"))
    assert "10.0 kB are kept" in caught.value.line()
    assert "is this machine online?" in caught.value.line()
    assert "\n" not in caught.value.line()


def test_a_port_where_nobody_listens(site: Site) -> None:
    url = site.url
    site.close()
    with pytest.raises(UnbakeError, match=r"127.0.0.1:\d+: the connection failed \(connection refused\)"):
        finish(fetch.fetch(pinned(), name="mine", mirrors={"https://weights.example/": [url]}))
    assert not list(pinned().path().parent.iterdir())


def test_a_silent_server_is_left(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    monkeypatch.setattr(fetch, "SILENCE_SECONDS", 0.1)
    site.pages["/net.ckpt"] = Page(DATA, go_on=threading.Event())
    weights = pinned()
    with pytest.raises(UnbakeError, match=r"said nothing for 0 s; .* are kept"):
        finish(fetching(site, weights))
    assert fetch.arrived(weights.path()) == site.pages["/net.ckpt"].block


def test_a_cancel_is_heeded_while_the_server_is_silent(site: Site) -> None:
    page = site.pages["/net.ckpt"] = Page(DATA, go_on=threading.Event())
    weights = pinned()
    operation = fetching(site, weights)
    while not (isinstance(event := next(operation), Progress) and event.done == page.block):
        pass
    began = time.monotonic()
    for _ in range(3):
        next(operation)
    operation.close()
    assert time.monotonic() - began < 5.0
    kept = fetch.arrived(weights.path())
    assert kept == page.block
    page.go_on = None
    assert finish(fetching(site, weights)).read_bytes() == DATA
    assert site.ranges == [None, f"bytes={kept}-"]


def test_a_process_that_is_killed_leaves_what_it_had(site: Site) -> None:
    page = site.pages["/net.ckpt"] = Page(DATA, go_on=threading.Event())
    weights = pinned()
    code = (
        "import sys, msgspec\nfrom core.events import finish\nfrom models import fetch\n"
        "from models.weights import Weights\n"
        "weights = msgspec.json.decode(sys.argv[1], type=Weights)\n"
        "finish(fetch.fetch(weights, name='mine', mirrors={'https://weights.example/': [sys.argv[2]]}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, msgspec.json.encode(weights).decode(), site.url])
    while fetch.arrived(weights.path()) < page.block:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    page.go_on = None
    assert finish(fetching(site, weights)).read_bytes() == DATA
    assert site.ranges == [None, f"bytes={page.block}-"]


def test_two_fetches_of_one_file_at_once_are_one_transfer(site: Site) -> None:
    go_on = threading.Event()
    page = site.pages["/net.ckpt"] = Page(DATA, go_on=go_on)
    weights = pinned()
    first, second = fetching(site, weights), fetching(site, weights)
    while not (isinstance(event := next(first), Progress) and event.done == page.block):
        pass
    waits = [next(second) for _ in range(3)]
    assert waits[0] == Note("another unbake is fetching mine: waiting for it")
    assert waits[2] == Progress("waiting for mine", page.block, len(DATA), in_bytes=True)
    go_on.set()
    assert finish(first).read_bytes() == DATA
    assert finish(second).read_bytes() == DATA
    assert len(site.requests) == 1
    assert alone(weights.path())


def test_the_second_goes_on_when_the_first_gives_up(site: Site) -> None:
    go_on = threading.Event()
    page = site.pages["/net.ckpt"] = Page(DATA, go_on=go_on)
    weights = pinned()
    first, second = fetching(site, weights), fetching(site, weights)
    while not (isinstance(event := next(first), Progress) and event.done == page.block):
        pass
    next(second)
    first.close()
    go_on.set()
    assert finish(second).read_bytes() == DATA
    assert site.ranges == [None, f"bytes={page.block}-"]


def test_room_on_the_disk_is_looked_for_first(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    site.pages["/net.ckpt"] = Page(DATA)
    with pytest.raises(UnbakeError, match=r"no space left in this folder: 300.0 kB needed, 1.0 kB free"):
        finish(fetching(site, pinned()))
    assert site.requests == []


def test_a_disk_that_fills_up_keeps_what_there_was_room_for(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    site.pages["/net.ckpt"] = Page(DATA, cuts=[100_000])
    weights = pinned()
    operation = fetching(site, weights)
    while not (isinstance(event := next(operation), Note)):
        pass
    assert "100.0 kB of 300.0 kB" in event.text
    full = open("/dev/full", "wb", buffering=0)  # noqa: PTH123, SIM115
    part_at = fetch.part_of(weights.path()).stat().st_ino
    for number in range(3, 64):  # the part, behind our back, becomes a disk without room
        try:
            if os.fstat(number).st_ino == part_at:
                os.dup2(full.fileno(), number)
        except OSError:
            continue
    with pytest.raises(UnbakeError, match="no space left in this folder"):
        finish(operation)
    full.close()
    assert fetch.arrived(weights.path()) == 100_000
    assert finish(fetching(site, weights)).read_bytes() == DATA


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    with serving() as proxy:
        proxy.pages[f"{site.url}net.ckpt"] = Page(DATA)
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        assert finish(fetching(site, pinned())).read_bytes() == DATA
        assert [path for path, _ in proxy.requests] == [f"{site.url}net.ckpt"]
    assert site.requests == []


def test_a_folder_that_can_t_be_written_is_named(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").write_text("no folder")
    monkeypatch.setenv("UNBAKE_HOME", str(tmp_path / "home"))
    with pytest.raises(UnbakeError, match=r"part of the path is not a folder|exists already"):
        finish(fetching(site, pinned()))
