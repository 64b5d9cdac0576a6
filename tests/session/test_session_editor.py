"""An open session: edits are exact, never lost, and saved when they are said to be."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from core.errors import UnbakeError
from core.session import edits, files, history
from core.session.document import Separation, Session, Source, Strip
from core.session.editor import MERGE_WITHIN_S, Editor
from core.session.edits import MASTER, Change
from core.session.lock import SessionLock
from core.session.parameters import master_kinds, new, parameters_of, stepped, strip_kinds
from core.session.processors import Bell

SOURCE = Source("/music/song.wav", "ab", 44_100, 2, 10, "WAV", "PCM_16")
STEMS = ("vocals", "drums", "bass", "other")
BASE = Session(source=SOURCE, separation=Separation(stems=STEMS))


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "song.unbake.toml"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def editor(path: Path, clock: Clock) -> Editor:
    """An editor of a session that was saved once."""
    history.save(path, BASE, "made")
    return Editor.open(path, clock=clock)


def gain(editor: Editor, gain_db: float, strip: str = "bass") -> bool:
    return editor.apply(edits.set_strip(editor.session, strip, "gain_db", gain_db))


def gains(editor: Editor) -> list[float]:
    values = [edit.session.strips.get("bass", Strip()) for edit in editor.history.edits]
    return [strip.gain_db for strip in values]


def refuse_to_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)


def test_an_edit_takes_effect_and_can_be_taken_back(editor: Editor) -> None:
    assert gain(editor, -1.0)
    assert not gain(editor, -1.0)
    assert editor.apply(edits.insert(editor.session, "bass", 0, Bell(freq_hz=250.0)))
    after = editor.session
    assert editor.undo().what == "bass: + bell 250 Hz 0 dB Q 0.7"
    assert editor.undo().what == "bass: gain -1 dB"
    assert editor.session == BASE
    with pytest.raises(UnbakeError, match="nothing to undo"):
        editor.undo()
    editor.redo()
    assert editor.redo().what == "bass: + bell 250 Hz 0 dB Q 0.7"
    assert editor.session == after
    with pytest.raises(UnbakeError, match="nothing to redo"):
        editor.redo()
    editor.go_to(0)
    assert editor.present.number == 0
    with pytest.raises(UnbakeError, match="no edit 9"):
        editor.go_to(9)
    assert editor.session == BASE


def test_a_parameter_that_is_held_down_is_one_step(editor: Editor, clock: Clock) -> None:
    for number in range(1, 6):
        gain(editor, -number / 10)
        clock.seconds += 0.9
    assert gains(editor) == [0.0, -0.5]
    assert editor.present.what == "bass: gain -0.5 dB"
    clock.seconds += MERGE_WITHIN_S
    gain(editor, -0.6)
    gain(editor, -1.0, "drums")
    gain(editor, -0.7)
    assert len(editor.history.edits) == 5
    editor.undo()
    editor.undo()
    editor.undo()
    assert editor.session.strips["bass"].gain_db == -0.5
    editor.undo()
    assert editor.session == BASE


def test_what_is_no_nudge_is_always_a_step(editor: Editor) -> None:
    editor.apply(edits.insert(editor.session, "bass", 0, Bell(freq_hz=250.0, gain_db=-3.0)))
    for _ in range(3):
        editor.apply(edits.toggle_bypass(editor.session, "bass", 0))
    assert len(editor.history.edits) == 5


def test_a_nudge_after_undo_or_save_is_a_step_of_its_own(editor: Editor) -> None:
    gain(editor, -0.1)
    editor.save()
    gain(editor, -0.2)
    assert gains(editor) == [0.0, -0.1, -0.2]
    editor.undo()
    editor.redo()
    gain(editor, -0.3)
    assert gains(editor) == [0.0, -0.1, -0.2, -0.3]


def test_a_nudge_there_and_back_is_no_step(editor: Editor) -> None:
    gain(editor, -0.1)
    assert gain(editor, 0.0)
    assert editor.session == BASE
    assert editor.present.number == 0
    assert editor.saved
    gain(editor, -0.2)
    assert [edit.parent for edit in editor.history.edits] == [None, 0, 0]
    editor.journal()
    assert history.load(editor.path) == editor.history


def test_the_journal_holds_every_edit_without_a_save(editor: Editor, path: Path) -> None:
    toml = path.read_bytes()
    gain(editor, -0.1)
    assert not editor.journaled
    editor.journal()
    assert editor.journaled
    gain(editor, -0.2)
    editor.journal()
    gain(editor, -0.3)
    gain(editor, -1.0, "drums")
    editor.undo()
    editor.journal()
    assert history.load(path) == editor.history
    assert history.path_for(path).read_bytes().count(b'"type":"amend"') == 2
    assert path.read_bytes() == toml
    assert not editor.saved
    size = history.path_for(path).stat().st_size
    editor.journal()
    assert history.path_for(path).stat().st_size == size


def test_saved_means_that_the_file_holds_it(editor: Editor, path: Path) -> None:
    assert editor.saved
    gain(editor, -1.0)
    assert not editor.saved
    editor.save()
    assert editor.saved
    assert files.load(path) == editor.session
    assert history.load(path) == editor.history
    editor.undo()
    assert not editor.saved
    editor.redo()
    assert editor.saved
    again = Editor.open(path)
    assert again.recovery is None
    assert again.history == editor.history
    assert again.saved


def test_edits_after_the_last_save_survive_a_crash(editor: Editor, path: Path) -> None:
    gain(editor, -1.0)
    editor.save()
    gain(editor, -2.0)
    gain(editor, -3.0, "drums")
    wanted = editor.session
    editor.journal()

    found = Editor.open(path)
    assert found.session == files.load(path)
    assert found.recovery is not None
    assert found.recovery.edits == 2
    assert found.recovery.what == "drums: gain -3 dB"
    assert found.recovery.words().startswith("2 edits, the last one at 2")
    found.journal()
    found.recover()
    assert found.session == wanted
    assert found.recovery is None
    assert found.history == editor.history
    assert not found.saved
    found.save()
    assert Editor.open(path).recovery is None


def test_edits_after_the_last_save_can_be_left_in_the_tree(editor: Editor, path: Path) -> None:
    gain(editor, -1.0)
    editor.journal()
    found = Editor.open(path)
    found.discard_recovery()
    assert found.session == BASE
    found.journal()
    assert Editor.open(path).recovery is None
    assert found.redo().what == "bass: gain -1 dB"


def test_the_first_edit_leaves_them_in_the_tree_too(editor: Editor, path: Path) -> None:
    gain(editor, -1.0)
    editor.journal()
    found = Editor.open(path)
    gain(found, -5.0)
    assert found.recovery is None
    assert [edit.parent for edit in found.history.edits] == [None, 0, 0]
    found.journal()
    assert history.load(path) == found.history


def test_a_crash_behind_an_undo_is_recovered_where_the_engineer_stood(editor: Editor, path: Path) -> None:
    gain(editor, -1.0)
    gain(editor, -1.0, "drums")
    editor.save()
    editor.undo()
    editor.undo()
    editor.journal()
    found = Editor.open(path)
    assert found.recovery is not None
    assert found.recovery.edits == 2
    found.recover()
    assert found.session == BASE


def test_a_file_edited_by_hand_becomes_an_edit(editor: Editor, path: Path) -> None:
    gain(editor, -1.0)
    editor.journal()
    by_hand = edits.set_strip(BASE, "vocals", "gain_db", 3.0).session
    path.write_text(files.dumps(by_hand))
    found = Editor.open(path)
    assert found.session == by_hand
    assert found.recovery is None
    assert found.present.what == "as found on disk"
    assert found.saved
    gain(found, -2.0)
    found.save()
    assert [edit.what for edit in history.load(path).edits][-2:] == ["as found on disk", "bass: gain -2 dB"]


def test_a_session_without_a_history_begins_one(path: Path) -> None:
    path.write_text(files.dumps(BASE))
    editor = Editor.open(path)
    assert [edit.what for edit in editor.history.edits] == ["as found on disk"]
    assert editor.saved
    assert not history.path_for(path).exists()
    editor.journal()
    assert history.load(path) == editor.history


def test_a_new_session_is_written_when_it_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "new" / "song.unbake.toml"
    editor = Editor.create(path, BASE, "new session on song.wav")
    assert not editor.saved
    assert not list(path.parent.iterdir())
    gain(editor, -1.0)
    editor.journal()
    assert not path.exists()
    crashed = Editor.open(path)
    assert crashed.session == editor.session
    assert not crashed.saved
    assert "not saved yet" in crashed.notes[0].text
    editor.save()
    assert files.load(path) == editor.session
    with pytest.raises(UnbakeError, match="there is a session already"):
        Editor.create(path, BASE, "again")


def test_edits_of_a_session_that_was_never_saved_are_offered_when_it_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "song.unbake.toml"
    editor = Editor.create(path, BASE, "new session on song.wav")
    gain(editor, -1.0)
    gain(editor, -2.0, "drums")
    editor.undo()
    editor.journal()

    again = Editor.create(path, BASE, "new session on song.wav")
    assert again.session == BASE
    assert again.recovery is not None
    assert again.recovery.edits == 1
    assert again.recovery.what == "bass: gain -1 dB"
    again.recover()
    assert again.session == editor.session
    assert again.history == editor.history
    assert not again.saved

    anew = Editor.create(path, BASE, "new session on song.wav")
    gain(anew, -5.0)
    anew.journal()
    assert [edit.parent for edit in history.load(path).edits] == [None, 0, 1, 0]


def test_edits_are_offered_where_a_session_begins_otherwise_now_and_not_for_another_master(tmp_path: Path) -> None:
    path = tmp_path / "song.unbake.toml"
    editor = Editor.create(path, BASE, "new session on song.wav")
    gain(editor, -1.0)
    editor.journal()
    other_model = msgspec.structs.replace(BASE, separation=msgspec.structs.replace(BASE.separation, overlap=7.0))
    recovery = Editor.create(path, other_model, "new session on song.wav").recovery
    assert recovery is not None
    assert recovery.edits == 1
    other_source = msgspec.structs.replace(BASE, source=msgspec.structs.replace(BASE.source, sha256="0" * 64))
    assert Editor.create(path, other_source, "new session on song.wav").recovery is None


def test_a_path_with_nothing_is_no_session(path: Path) -> None:
    with pytest.raises(UnbakeError, match="no such file or folder"):
        Editor.open(path)
    assert not list(path.parent.iterdir())


def test_what_somebody_else_wrote_is_noticed_and_kept(editor: Editor, path: Path) -> None:
    assert not editor.changed_on_disk()
    os.utime(path, ns=(1, 1))
    assert not editor.changed_on_disk()
    by_hand = edits.set_strip(BASE, "vocals", "gain_db", 3.0).session
    path.write_text(files.dumps(by_hand))
    assert editor.changed_on_disk()
    gain(editor, -1.0)
    editor.save()
    assert not editor.changed_on_disk()
    assert files.load(path) == editor.session
    assert editor.undo().what == "bass: gain -1 dB"
    kept = next(edit for edit in editor.history.edits if edit.what == "as found on disk")
    assert kept.session == by_hand
    assert history.load(path).edits == editor.history.edits


def test_what_somebody_else_wrote_can_be_taken_in(editor: Editor, path: Path) -> None:
    by_hand = edits.set_strip(BASE, "vocals", "gain_db", 3.0).session
    path.write_text(files.dumps(by_hand))
    assert editor.refresh()
    assert editor.session == by_hand
    assert editor.saved
    assert not editor.changed_on_disk()
    assert not editor.refresh()
    editor.undo()
    assert editor.session == BASE
    path.unlink()
    assert editor.changed_on_disk()
    editor.save()
    assert files.load(path) == BASE


def test_what_is_no_session_is_not_written_over(editor: Editor, path: Path) -> None:
    path.write_text("schema = = 1")
    assert editor.changed_on_disk()
    gain(editor, -1.0)
    with pytest.raises(UnbakeError, match="not valid TOML"):
        editor.save()
    assert path.read_text() == "schema = = 1"
    editor.journal()
    assert history.load(path) == editor.history


def test_a_full_disk_loses_nothing(editor: Editor, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gain(editor, -1.0)
    with monkeypatch.context() as patched:
        refuse_to_sync(patched)
        with pytest.raises(UnbakeError, match="no space left"):
            editor.journal()
        gain(editor, -1.1)
        with pytest.raises(UnbakeError, match="no space left"):
            editor.save()
    assert not editor.saved
    assert not editor.journaled
    assert editor.session.strips["bass"].gain_db == -1.1
    editor.journal()
    assert history.load(path) == editor.history
    editor.save()
    assert editor.saved


def test_a_write_that_was_torn_is_made_good(editor: Editor, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gain(editor, -1.0)

    def half(file, data: bytes) -> None:
        file.write(data[: len(data) // 2])
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(history, "_write_all", half)
        with pytest.raises(UnbakeError, match="input/output error"):
            editor.journal()
    with history.path_for(path).open("ab") as file:
        file.write(b'{"type":"edit","number":1')  # what could not be taken back either
    editor.journal()
    assert history.load(path) == editor.history


def test_a_name_that_is_no_text_is_said(path: Path) -> None:
    source = Source(os.fsdecode(b"/music/s\xf6ng.wav"), "ab", 44_100, 2, 10, "WAV", "PCM_16")
    editor = Editor.create(path, Session(source=source), "new")
    for do in (editor.journal, editor.save):
        with pytest.raises(UnbakeError, match=r"a name that is not valid UTF-8: .*s\\udcf6ng\.wav"):
            do()
    assert not list(path.parent.iterdir())


def test_a_folder_that_is_gone_is_said_and_not_made_anew(editor: Editor, path: Path) -> None:
    gain(editor, -1.0)
    elsewhere = path.parent.with_name("elsewhere")
    path.parent.rename(elsewhere)
    with pytest.raises(UnbakeError, match="no such file or folder"):
        editor.journal()
    with pytest.raises(UnbakeError, match="no such file or folder"):
        editor.save()
    assert not path.parent.exists()
    elsewhere.rename(path.parent)
    editor.save()
    assert history.load(path) == editor.history


def test_a_history_that_was_taken_away_is_written_again(editor: Editor, path: Path) -> None:
    gain(editor, -1.0)
    editor.journal()
    history.path_for(path).unlink()
    editor.undo()
    editor.journal()
    assert history.load(path) == editor.history


def test_a_history_that_somebody_else_wrote_to_is_left_alone(editor: Editor, path: Path) -> None:
    history.save(path, edits.set_strip(BASE, "drums", "gain_db", -9.0).session, "elsewhere")
    before = history.path_for(path).read_bytes()
    gain(editor, -1.0)
    with pytest.raises(UnbakeError, match="another program wrote to the history"):
        editor.journal()
    assert history.path_for(path).read_bytes() == before
    assert editor.session.strips["bass"].gain_db == -1.0


def test_a_torn_last_line_is_nobodys_edit(editor: Editor, path: Path) -> None:
    with history.path_for(path).open("ab") as file:
        file.write(b'{"type":"edit","number":1')
    found = Editor.open(path)
    assert found.session == BASE
    gain(found, -1.0)
    found.journal()
    assert history.load(path) == found.history


def test_a_damaged_history_does_not_shut_the_session_up(editor: Editor, path: Path) -> None:
    gain(editor, -1.0)
    editor.save()
    damaged = history.path_for(path).read_bytes() + b"rubbish\n"
    history.path_for(path).write_bytes(damaged)
    with pytest.raises(UnbakeError, match="line 3 of the history is damaged"):
        Editor.open(path)
    looked = Editor.open(path, set_aside=True, read_only=True)
    assert "2 edits before it could be read" in looked.notes[0].text
    assert history.path_for(path).read_bytes() == damaged

    found = Editor.open(path, set_aside=True)
    aside = path.with_name("song.unbake.history.damaged-1")
    assert aside.name in found.notes[0].text
    assert aside.read_bytes() == damaged
    assert found.session == editor.session
    assert history.load(path) == found.history
    assert found.undo().what == "bass: gain -1 dB"
    history.path_for(path).write_bytes(b"rubbish\n")
    assert Editor.open(path, set_aside=True).session == editor.session
    assert path.with_name("song.unbake.history.damaged-2").exists()


def test_to_look_at_is_not_to_edit(editor: Editor, path: Path) -> None:
    gain(editor, -1.0)
    editor.journal()
    before = {entry.name: entry.read_bytes() for entry in path.parent.iterdir()}
    found = Editor.open(path, read_only=True)
    assert found.recovery is None
    for do in (lambda: gain(found, -3.0), found.undo, found.redo, lambda: found.go_to(0), found.save):
        with pytest.raises(UnbakeError, match="is open to look at only"):
            do()
    found.journal()
    assert {entry.name: entry.read_bytes() for entry in path.parent.iterdir()} == before


def test_the_one_with_the_lock_edits_and_others_look(editor: Editor, path: Path) -> None:
    with SessionLock(path) as lock:
        lock.acquire()
        mine = Editor.open(path, lock=lock)
        gain(mine, -1.0)
        mine.save()
        with pytest.raises(UnbakeError, match="is open in the workstation"):
            Editor.open(path)
        assert Editor.open(path, read_only=True).session == mine.session
        gain(editor, -5.0)
        with pytest.raises(UnbakeError, match="is open in the workstation"):
            editor.journal()
        with pytest.raises(UnbakeError, match="is open in the workstation"):
            Editor.create(path.with_name(path.name), BASE, "new")
    assert history.load(path) == mine.history


def test_a_save_is_what_it_was_when_it_began(editor: Editor, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gain(editor, -1.0)
    write = history.write

    def slow(*of: object) -> None:
        gain(editor, -1.1)
        editor.undo()
        gain(editor, -2.0)
        write(*of)  # type: ignore[arg-type]

    monkeypatch.setattr(history, "write", slow)
    editor.save()
    assert files.load(path).strips["bass"].gain_db == -1.0
    assert not editor.saved
    assert gains(editor) == [0.0, -1.0, -1.1, -2.0]


def test_edits_and_journals_on_many_threads_lose_nothing(editor: Editor, path: Path) -> None:
    problems: list[BaseException] = []

    def journal() -> None:
        try:
            for _ in range(10):
                editor.journal()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=journal) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(1, 40):
        gain(editor, -number / 10, STEMS[number % 3])
    for thread in threads:
        thread.join()
    editor.journal()
    assert not problems
    assert history.load(path) == editor.history
    assert len(editor.history.edits) == 40


def random_change(rng: random.Random, session: Session) -> Change:
    strip = rng.choice([*STEMS, "residual", MASTER])
    chain = edits.chain_of(session, strip)
    kinds = master_kinds() if strip == MASTER else strip_kinds()
    place = rng.randrange(len(chain)) if chain else 0
    doing: list[Callable[[], Change]] = [
        lambda: edits.insert(session, strip, rng.randint(0, len(chain)), new(rng.choice(kinds), 44_100))
    ]
    if strip != MASTER:
        parameter = rng.choice(parameters_of(Strip))
        old = getattr(session.strips.get(strip, Strip()), parameter.name)
        value = stepped(parameter, old, rng.randint(-20, 20), coarse=rng.random() < 0.3, sample_rate=44_100)
        doing += [lambda: edits.set_strip(session, strip, parameter.name, value)] * 2
    if chain:
        inner = rng.choice(parameters_of(type(chain[place])))
        old_inner = getattr(chain[place], inner.name)
        other = stepped(inner, old_inner, rng.randint(-20, 20), coarse=rng.random() < 0.3, sample_rate=44_100)
        doing += [lambda: edits.set_parameter(session, strip, place, inner.name, other)] * 6
        doing += [
            lambda: edits.delete(session, strip, place),
            lambda: edits.move(session, strip, place, rng.choice((-1, 1))),
            lambda: edits.toggle_bypass(session, strip, place),
            lambda: edits.bypass_all(session, strip),
            lambda: edits.replace_processor(session, strip, place, new(rng.choice(kinds), 44_100)),
        ]
    if rng.random() < 0.05:
        doing = [lambda: edits.reset_strip(session, strip)]
    return rng.choice(doing)()


@pytest.mark.parametrize("seed", range(4))
def test_five_hundred_random_edits(path: Path, clock: Clock, seed: int) -> None:
    rng = random.Random(seed)
    editor = Editor.create(path, BASE, "new", clock=clock)
    editor.save()
    values: dict[int, Session] = {0: BASE}
    saved = BASE

    for _ in range(500):
        clock.seconds += rng.choice((0.1, 0.1, 2.0))
        what = rng.random()
        if what < 0.7:
            change = random_change(rng, editor.session)
            if editor.apply(change):
                assert editor.session == change.session
        elif what < 0.9:
            with contextlib.suppress(UnbakeError):  # at either end of the tree
                rng.choice((editor.undo, editor.undo, editor.redo))()
        elif what < 0.93:
            editor.go_to(rng.randrange(len(editor.history.edits)))
        elif what < 0.96:
            editor.save()
            saved = editor.session
        else:
            editor.journal()
            crashed, editor = editor, Editor.open(path, clock=clock)  # the old one is never heard of again
            assert editor.session == saved
            assert editor.history.edits == crashed.history.edits
            if editor.recovery is not None and rng.random() < 0.8:
                editor.recover()
                if crashed.recovery is None:  # it had not passed over them itself
                    assert editor.session == crashed.session
                    assert editor.present == crashed.present
            elif editor.recovery is None:
                assert editor.session == crashed.session
        # whatever was done: the value is the present edit's, text and all, and a value once left never changes
        present = editor.present
        assert files.dumps(editor.session) == present.document
        assert present.session == editor.session
        values[present.number] = editor.session
        assert editor.saved == (editor.session == saved)

    editor.save()
    assert files.load(path) == editor.session
    assert history.load(path) == editor.history
    for number, value in values.items():
        editor.go_to(number)
        assert editor.session == value
        assert files.dumps(editor.session) == editor.present.document
    while editor.present.parent is not None:
        editor.undo()
    assert editor.session == BASE
    assert files.dumps(editor.session) == files.dumps(BASE)
