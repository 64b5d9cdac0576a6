"""The worker process: the same answers as a direct call, and an app that outlives whatever becomes of it."""

from __future__ import annotations

import datetime
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any, get_args

import msgspec
import psutil
import pytest
import soundfile

from core import wire
from core.errors import UnbakeError
from core.events import Note, Operation, Progress, finish
from core.jobs import client, messages, operations, sessions, store
from core.jobs.client import State
from core.jobs.doctor import Examination
from core.jobs.operations import Created, SessionRender, SessionStems
from core.jobs.repair import Delivery, render_session
from core.jobs.stems import separate_to
from core.jobs.worker import pump
from core.measure.inspect import inspect_file
from core.measure.null import null_test
from core.recombine.check import check_session
from core.separation.separate import SeparationRequest
from core.session import files, history
from core.session.document import RESIDUAL

GENTLE = ("strips.bass.gain_db=-2", 'strips.bass.chain=[{type="bell", freq_hz=250, gain_db=-3}]')


def sha256(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def saved_session(song: Path, *edits: str) -> Path:
    """A session of the song with its own stems, on disk."""
    path, _ = finish(sessions.create(song, None, stems_from=song.parent / "stems"))
    if edits:
        sessions.set_values(path, list(edits))
    return path


# Messages


def test_a_message_arrives_as_it_was_sent(song: Path) -> None:
    path = saved_session(song, *GENTLE)
    with path.open("a") as file:
        file.write(
            "\n[rights]\nsince = 2024-02-29\nsigned = 2024-02-29T12:00:00.5+02:00\nheard = 1979-05-27T07:32:00\n"
            'cleared = [{ at = 07:32:00, by = "Zoë" }]\n'
        )
    session = files.load(path)
    assert isinstance(session.rights["since"], datetime.date)
    requests: list[messages.Request] = [
        messages.Render(session, str(path), overs="trim"),
        messages.CheckDelta(session, {"bass": "/b.wav"}),
        messages.ExportStems(session, "/out", force=True),
        messages.PruneStore(("1234",), keep_gb=2.5),
    ]
    for request in requests:
        order = messages.decode_order(messages.encode(messages.Run(7, request)))
        assert isinstance(order, messages.Run)
        assert messages.as_request(order.request) == request
    answer = messages.decode_answer(messages.encode(messages.Finished(7, Created(str(path), session))))
    assert isinstance(answer, messages.Finished)
    created = operations.typed(messages.NewSession("/a.wav"), answer.result)
    assert created == Created(str(path), session)
    assert files.dumps(created.session) == files.dumps(session)


def test_every_request_has_a_result_that_can_be_read() -> None:
    assert set(operations.GIVES) == set(get_args(messages.Request))
    for kind in operations.GIVES.values():
        msgspec.msgpack.Decoder(kind)


def test_frames_keep_their_bounds_and_a_torn_one_is_the_end() -> None:
    out, into = os.pipe()
    big = os.urandom(300_000)
    writer = threading.Thread(target=lambda: [wire.write_frame(into, data) for data in (b"one", b"", big)])
    writer.start()
    assert [wire.read_frame(out) for _ in range(3)] == [b"one", b"", big]
    writer.join()
    os.write(into, b"\x00\x00\x00\x09four")
    os.close(into)
    assert wire.read_frame(out) is None
    os.close(out)


# The pump


def pumped(
    operation: Operation[Any], stop_after: int | None = None, seconds_each: float = 0.001
) -> list[messages.Answer]:
    """What is said of an operation that takes so long for each event."""
    said: list[messages.Answer] = []
    asked = iter(range(1_000_000))
    steps = iter(range(1_000_000))
    stopped = lambda: stop_after is not None and next(asked) >= stop_after  # noqa: E731
    pump(3, operation, said.append, stopped, clock=lambda: next(steps) * seconds_each)
    return said


def test_progress_is_thinned_to_what_an_eye_can_follow() -> None:
    def operation() -> Operation[str]:
        for done in range(10_000):
            yield Progress("counting", done, 10_000, 12.0)
        for done in range(3):
            yield Progress("looking back", done, 3)
        return "done"

    said = pumped(operation())
    shown = [answer for answer in said if isinstance(answer, messages.Progressed)]
    assert 150 < len(shown) < 250  # ten seconds
    counting = [answer.done for answer in shown if answer.stage == "counting"]
    assert (counting[0], counting[-1]) == (0, 9_999)
    assert counting == sorted(counting)
    assert [answer.done for answer in shown if answer.stage == "looking back"] == [0, 2]
    assert shown[0] == messages.Progressed(3, "counting", 0, 10_000, 12.0)
    assert said[-1] == messages.Finished(3, "done")


def test_a_note_comes_after_the_progress_before_it() -> None:
    def operation() -> Operation[None]:
        for done in range(5):
            yield Progress("counting", done, 9)
        yield Note("look")
        yield Progress("counting", 5, 9)

    said = pumped(operation(), seconds_each=0.0)
    assert [getattr(answer, "done", answer) for answer in said] == [
        0,
        4,
        messages.Noted(3, "look"),
        5,
        messages.Finished(3, None),
    ]


def failing(error: BaseException) -> Operation[None]:
    yield Progress("failing", 0, 1)
    raise error


def test_what_a_person_can_put_right_is_a_failure_in_words() -> None:
    error = UnbakeError("is cut short", where=Path("a.wav"), remedy="copy it again")
    *_, answer = pumped(failing(error))
    assert isinstance(answer, messages.Failed)
    told = answer.error()
    assert (told.what, told.where, told.remedy) == ("is cut short", "a.wav", "copy it again")
    assert pumped(failing(PermissionError(13, "no", "/x")))[-1] == messages.Failed(3, "permission denied", "/x")
    assert isinstance(full := pumped(failing(MemoryError()))[-1], messages.Failed)
    assert full.what == "out of memory"


def test_a_defect_is_told_with_its_trace() -> None:
    *_, answer = pumped(failing(ZeroDivisionError("by nothing")))
    assert isinstance(answer, messages.Crashed)
    assert answer.text == "ZeroDivisionError: by nothing"
    assert answer.trace.startswith("Traceback")
    assert "in failing" in answer.trace


def test_a_library_that_calls_exit_ends_its_job_only() -> None:
    assert isinstance(pumped(failing(SystemExit(3)))[-1], messages.Crashed)


def test_a_cancelled_operation_is_closed() -> None:
    closed = []

    def operation() -> Operation[None]:
        try:
            for done in range(100):
                yield Progress("counting", done, 100)
        finally:
            closed.append(True)

    assert pumped(operation(), stop_after=5)[-1] == messages.Cancelled(3)
    assert closed


def test_what_goes_wrong_while_closing_is_told() -> None:
    def operation() -> Operation[None]:
        try:
            for done in range(100):
                yield Progress("counting", done, 100)
        finally:
            raise UnbakeError("no space left")

    assert pumped(operation(), stop_after=5)[-1] == messages.Failed(3, "no space left")


def test_an_answer_that_cannot_be_sent_is_told_as_that() -> None:
    said: list[messages.Answer] = []

    def say(answer: messages.Answer) -> None:
        messages.encode(answer)
        said.append(answer)

    pump(3, failing(UnbakeError("is gone", where="caf\udce9.wav")), say, lambda: False)
    assert isinstance(odd := said[-1], messages.Failed)
    assert "caf\\udce9.wav" in odd.what


# The same answers


def test_importing_the_client_loads_nothing_heavy() -> None:
    script = "import sys; before = set(sys.modules); import core.jobs.{}; print(*(set(sys.modules) - before))"
    for module, absent in (
        ("client", {"numpy", "scipy", "torch", "soundfile", "av", "soxr"}),
        ("operations", {"scipy", "torch", "av"}),
    ):
        command = [sys.executable, "-c", script.format(module)]
        loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert absent.isdisjoint(loaded)
        assert f"core.jobs.{module}" in loaded


def test_measurements_equal_those_of_a_direct_call(desk, song: Path) -> None:
    stems = song.parent / "stems"
    assert desk.result(messages.Inspect(str(song))) == finish(inspect_file(song))
    null = desk.result(messages.NullTest(str(song), str(stems / "bass.wav"), threshold_dbfs=-20.0, align=True))
    assert null == finish(null_test(song, stems / "bass.wav", threshold_dbfs=-20.0, align=True))


def test_a_session_is_made_checked_and_given_its_stems(
    desk, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNBAKE_CACHE", str(desk.cache))
    made = desk.result(messages.NewSession(str(song), stems_from=str(song.parent / "stems")))
    assert isinstance(made, Created)
    assert files.load(Path(made.session_path)) == made.session
    assert not made.session.changed
    assert desk.result(messages.CheckSource(made.session, made.session_path)) is None

    bare = msgspec.structs.replace(made.session, separation=msgspec.structs.replace(made.session.separation, hashes={}))
    found = desk.result(messages.MakeStems(bare))
    assert isinstance(found, SessionStems)
    assert found.session == made.session
    assert (found.stems.reused, found.stems.device) == (True, finish(sessions.make_stems(bare))[1].device)
    assert set(found.paths) == {"bass", "other", RESIDUAL}
    assert {name: sha256(path) for name, path in found.paths.items()} == found.session.separation.hashes

    edited = files.set_values(found.session, list(GENTLE))
    check = desk.result(messages.CheckDelta(edited, found.paths))
    assert check == finish(check_session(edited, {name: Path(path) for name, path in found.paths.items()}))

    holding = desk.result(messages.ListStore())
    assert [line.id for line in holding.entries] == [line.id for line in store.listing().entries]
    gone = desk.result(messages.PruneStore((holding.entries[0].id,)))
    assert [line.id for line in gone.removed] == [holding.entries[0].id]
    assert not Path(holding.entries[0].folder).exists()

    soundfile.write(song, soundfile.read(song)[0] * 0.5, 44_100, subtype="PCM_24")
    for request in (messages.CheckSource(made.session, made.session_path), messages.MakeStems(made.session)):
        refused = desk.outcome(desk.worker.submit(request))
        assert isinstance(refused, messages.Failed)
        with pytest.raises(UnbakeError) as direct:
            sessions.check_source(made.session)
        assert refused == messages.Failed.by(refused.job, direct.value)


def same_but_for_time(one, other) -> bool:
    return msgspec.structs.replace(one, output="", seconds=0.0, realtime_factor=0.0) == msgspec.structs.replace(
        other, output="", seconds=0.0, realtime_factor=0.0
    )


def test_a_render_has_the_bytes_of_the_command_line_and_leaves_the_session_alone(
    desk, song: Path, tmp_path: Path
) -> None:
    path = saved_session(song, *GENTLE, "separation.hashes=")
    session = files.load(path)
    before = {name: name.read_bytes() for name in (path, history.path_for(path))}
    request = messages.Render(session, str(path), out=str(tmp_path / "app.wav"), report=str(tmp_path / "app.json"))
    rendered = desk.result(request)
    assert isinstance(rendered, SessionRender)
    assert {name: name.read_bytes() for name in before} == before
    certificate = finish(render_session(path, Delivery(out=tmp_path / "shell.wav")))
    assert (tmp_path / "app.wav").read_bytes() == (tmp_path / "shell.wav").read_bytes()
    assert same_but_for_time(rendered.certificate, certificate)
    assert rendered.session == files.load(path) != session
    assert history.load(path).edits[-1].what == "render"
    report = msgspec.json.decode((tmp_path / "app.json").read_bytes())
    assert report["stem_sha256"] == rendered.session.separation.hashes


def test_a_render_takes_the_value_it_is_given_not_what_is_on_disk(desk, song: Path, tmp_path: Path) -> None:
    path = saved_session(song, *GENTLE)
    plain = msgspec.structs.replace(files.load(path), strips={})
    rendered = desk.result(messages.Render(plain, str(path), out=str(tmp_path / "plain.wav")))
    assert rendered.session == plain
    assert rendered.certificate.certificate.identical
    strange = files.set_values(plain, ["strips.choir.gain_db=-2"], check=False)
    refused = desk.outcome(desk.worker.submit(messages.Render(strange, str(path), out=str(tmp_path / "no.wav"))))
    assert isinstance(refused, messages.Failed)
    assert "no such stem" in refused.what
    over = desk.outcome(desk.worker.submit(messages.Render(plain, str(path), out=str(path), force=True)))
    assert over == messages.Failed(over.job, "is the session", str(path), "choose another name")


def test_a_refusal_arrives_whole(desk, tmp_path: Path) -> None:
    missing = tmp_path / "missing.wav"
    refused = desk.outcome(desk.worker.submit(messages.Inspect(str(missing))))
    with pytest.raises(UnbakeError) as direct:
        finish(inspect_file(missing))
    assert refused == messages.Failed.by(refused.job, direct.value)
    folder = tmp_path / "no" / "demo"
    demo = desk.outcome(desk.worker.submit(messages.Demo(str(folder))))
    assert demo == messages.Failed(demo.job, "no such file or folder", str(folder))
    limit = desk.outcome(desk.worker.submit(messages.PruneStore(keep_gb=float("nan"))))
    assert limit == messages.Failed(limit.job, "must be a number, 0 or more", "nan")


def test_values_that_are_no_request_are_a_defect_and_the_worker_goes_on(desk, song: Path) -> None:
    odd = messages.NullTest(str(song), str(song), threshold_dbfs="loud")  # type: ignore[arg-type]
    crashed = desk.outcome(desk.worker.submit(odd))
    assert isinstance(crashed, messages.Crashed)
    assert "threshold_dbfs" in crashed.text
    assert desk.result(messages.NullTest(str(song), str(song))).identical


def test_a_name_that_is_no_unicode_is_refused_in_words(desk) -> None:
    refused = desk.outcome(desk.worker.submit(messages.Inspect("caf\udce9.wav")))
    assert isinstance(refused, messages.Failed)
    assert "not valid UTF-8" in refused.what


# Jobs and their ends


def test_jobs_run_one_by_one_and_waiting_ones_are_dropped_at_once(desk, song: Path, endless: Path) -> None:
    running = desk.worker.submit(messages.Inspect(str(endless)))
    dropped, last = (desk.worker.submit(messages.Inspect(str(song))) for _ in range(2))
    assert desk.worker.state == State(running, waiting=(dropped, last))
    desk.progress(running)
    desk.worker.cancel(dropped)
    assert desk.outcome(dropped) == messages.Cancelled(dropped)
    assert desk.worker.state == State(running, waiting=(last,))
    pid = desk.worker.pid
    desk.worker.cancel(running)
    desk.worker.cancel(running)
    assert desk.outcome(running) == messages.Cancelled(running)
    assert isinstance(desk.outcome(last), messages.Finished)
    assert desk.worker.pid == pid
    assert desk.worker.state == State()
    assert desk.of(dropped) == [messages.Cancelled(dropped)]
    desk.worker.cancel(last)
    desk.worker.cancel(10_000)
    assert len([answer for answer in desk.of(last) if isinstance(answer, messages.Outcome)]) == 1


def test_the_process_keeps_out_of_the_way(desk) -> None:
    process = psutil.Process(desk.worker.pid)
    assert process.nice() == psutil.Process().nice() + 10
    shared_out = Path(f"/proc/{process.pid}/autogroup")  # by session, where the kernel does so
    assert not shared_out.exists() or shared_out.read_text().split()[-1] == str(process.nice())
    assert os.getsid(process.pid) == process.pid
    process.send_signal(signal.SIGINT)
    desk.result(messages.ListStore())
    assert desk.worker.pid == process.pid


def test_a_process_that_does_not_answer_can_be_killed_and_the_next_job_runs(
    own_desk, until, song: Path, endless: Path
) -> None:
    stuck = own_desk.worker.submit(messages.Inspect(str(endless)))
    waiting = own_desk.worker.submit(messages.Inspect(str(song)))
    own_desk.progress(stuck)
    process = psutil.Process(own_desk.worker.pid)
    process.suspend()
    own_desk.worker.cancel(stuck)
    assert own_desk.worker.state == State(stuck, cancelling=True, waiting=(waiting,))
    own_desk.worker.kill()
    assert own_desk.outcome(stuck) == messages.Cancelled(stuck)
    assert isinstance(own_desk.outcome(waiting), messages.Finished)
    until(lambda: not process.is_running())  # gone, and no zombie


def test_a_process_that_dies_is_told_to_all_its_jobs_and_replaced(
    own_desk, song: Path, endless: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent("""
            import os, sys, threading, time

            def chatter():
                while True:
                    print("noise on", "stdout")
                    os.write(1, b"noise\\x1b[31m on 1\\n")
                    os.write(2, b"last words\\n")
                    time.sleep(0.001)

            threading.Thread(target=chatter, daemon=True).start()
        """)
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert own_desk.result(messages.Inspect(str(song))) == finish(inspect_file(song))
    jobs = [own_desk.worker.submit(messages.Inspect(str(endless))) for _ in range(3)]
    own_desk.progress(jobs[0])
    first = own_desk.worker.pid
    os.kill(first, signal.SIGKILL)
    died = [own_desk.outcome(job) for job in jobs]
    assert all(isinstance(answer, messages.Died) for answer in died)
    assert "killed (signal 9); the system may have run out of memory" in died[0].text
    assert "before this job began" in died[1].text
    assert died[0].text.count("\n") == 0
    assert "last words" in died[0].said
    assert "noise[31m on 1" in died[0].said
    assert own_desk.worker.state == State()
    assert own_desk.worker.pid is None
    assert not psutil.pid_exists(first)
    assert own_desk.result(messages.Inspect(str(song))) == finish(inspect_file(song))
    assert own_desk.worker.pid != first
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("/nowhere/python",), "can't be started"),
        ((sys.executable, "-c", "raise SystemExit('core is broken')"), 'exit status 1; it last said "core is broken"'),
        ((sys.executable, "-c", "import os, sys; os.write(int(sys.argv[2]), b'hello, world')"), "exit status 0"),
        (
            (sys.executable, "-c", r"import os, sys; os.write(int(sys.argv[2]), b'\0\0\0\2hi'); input()"),
            "said what can't be read",
        ),
    ],
)
def test_a_process_that_is_none_is_said(own_desk, monkeypatch: pytest.MonkeyPatch, command, words: str) -> None:
    monkeypatch.setattr(client, "COMMAND", command)
    jobs = [own_desk.worker.submit(messages.ListStore()) for _ in range(2)]
    for job in jobs:
        died = own_desk.outcome(job)
        assert isinstance(died, messages.Died)
        assert words in died.text


def test_a_listener_that_fails_goes_on_being_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_value))
    ended = threading.Event()

    def tell(answer: messages.Answer) -> None:
        if answer.job == 2:
            ended.set()
        raise RuntimeError("the app is broken")

    worker = client.Worker("test", tell)
    worker.submit(messages.Inspect("\udce9"))
    worker.submit(messages.Inspect("\udce9"))
    assert ended.wait(10)
    worker.close()
    assert [str(error) for error in seen] == ["the app is broken"] * 2


def test_closing_cancels_everything_and_leaves_no_process(own_desk, endless: Path) -> None:
    jobs = [own_desk.worker.submit(messages.Inspect(str(endless))) for _ in range(2)]
    own_desk.progress(jobs[0])
    pid = own_desk.worker.pid
    own_desk.worker.close()
    assert not psutil.pid_exists(pid)
    assert [own_desk.of(job)[-1] for job in jobs] == [messages.Cancelled(job) for job in jobs]
    assert own_desk.worker.state == State()
    own_desk.worker.close()


def test_closing_ends_a_process_that_is_stuck(own_desk, endless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LEAVE_SECONDS", 0.3)
    job = own_desk.worker.submit(messages.Inspect(str(endless)))
    own_desk.progress(job)
    process = psutil.Process(own_desk.worker.pid)
    process.suspend()
    own_desk.worker.close()
    assert not process.is_running()


def test_the_process_leaves_when_the_app_is_killed(until, endless: Path) -> None:
    script = textwrap.dedent("""
        import sys, threading
        from core.jobs import messages
        from core.jobs.client import Worker

        def tell(answer):
            if isinstance(answer, messages.Progressed) and answer.done:
                print(worker.pid, flush=True)

        worker = Worker("app", tell)
        worker.submit(messages.Inspect(sys.argv[1]))
        threading.Event().wait()
    """)
    app = subprocess.Popen([sys.executable, "-c", script, str(endless)], stdout=subprocess.PIPE, text=True)
    assert app.stdout is not None
    with app.stdout:
        process = psutil.Process(int(app.stdout.readline()))
    app.kill()
    app.wait()
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def test_a_separation_goes_on_where_it_was_safe(
    own_desk, until, tmp_path: Path, mixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNBAKE_CACHE", str(own_desk.cache))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text("from core.separation import work\nwork.SAVE_SECONDS = 0.0\n")
    source = tmp_path / "song.wav"
    soundfile.write(source, mixture(14.0, 44_100), 44_100, subtype="PCM_16")
    _, session = finish(sessions.create(source, None, model="spleeter-2stems"))

    def safe() -> bool:
        states = [msgspec.json.decode(file.read_bytes()) for file in own_desk.cache.glob("stems/partial/*/state.json")]
        return any(any(state["done"].values()) for state in states)

    killed = own_desk.worker.submit(messages.MakeStems(session, "cpu"))
    own_desk.progress(killed, "separating")
    until(safe)
    os.kill(own_desk.worker.pid, signal.SIGKILL)
    assert isinstance(own_desk.outcome(killed), messages.Died)

    last = own_desk.worker.submit(messages.MakeStems(session, "cpu"))
    done = own_desk.outcome(last)
    assert isinstance(done, messages.Finished)
    assert any("taken up at" in answer.text for answer in own_desk.of(last) if isinstance(answer, messages.Noted))
    assert isinstance(done.result, SessionStems)
    assert not done.result.stems.reused
    assert {name: sha256(path) for name, path in done.result.paths.items()} == done.result.session.separation.hashes

    exported = own_desk.result(messages.ExportStems(session, str(tmp_path / "app"), "cpu"))
    direct = finish(separate_to(source, tmp_path / "shell", SeparationRequest("spleeter-2stems", device="cpu")))
    assert exported.reused
    assert (exported.model, list(exported.stems)) == (direct.model, list(direct.stems))
    assert [sha256(path) for path in exported.stems.values()] == [sha256(path) for path in direct.stems.values()]

    examined = own_desk.result(messages.Examine())
    assert isinstance(examined, Examination)
    assert examined.findings[0].name == "unbake"
