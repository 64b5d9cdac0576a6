"""The document: values check themselves, TOML comes back as it went, and complaints say where."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnbakeError
from core.session import files
from core.session.document import Separation, Session, Source, Strip, audible_key
from core.session.processors import Bell, Dither, Gain, HighCut, LowShelf, Width, kinds
from core.session.toml import line_of, steps_of, words_of

STEMS = ("vocals", "drums", "bass", "other")


def session(**changes: object) -> Session:
    source = Source("/music/song.wav", "ab" * 32, 44_100, 2, 1000, "WAV", "PCM_24")
    return msgspec.structs.replace(Session(source=source, separation=Separation(stems=STEMS)), **changes)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Bell(freq_hz=5.0), "freq_hz"),
        (lambda: Bell(freq_hz=math.nan), "freq_hz"),
        (lambda: Bell(freq_hz=100.0, gain_db=24.01), "gain_db"),
        (lambda: Bell(freq_hz=100.0, q=math.inf), "q"),
        (lambda: LowShelf(freq_hz=100.0, slope=1.5), "slope"),
        (lambda: Width(amount=-0.1), "amount"),
        (lambda: Strip(pan=1.5), "pan"),
        (lambda: Strip(blend=-1.0), "blend"),
        (lambda: Separation(overlap=1.0), "overlap"),
    ],
)
def test_a_value_out_of_range_can_not_be_made(make, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        make()


def test_neutral_means_that_nothing_is_heard() -> None:
    assert Strip().neutral
    assert Strip(chain=(Bell(freq_hz=250.0), Gain(), Width())).neutral
    assert Strip(chain=(Bell(freq_hz=250.0, gain_db=-3.0, bypass=True),)).neutral
    assert Strip(mode="parallel", gain_db=3.0).neutral
    for changed in (
        Strip(gain_db=0.1),
        Strip(pan=0.1),
        Strip(polarity=-1),
        Strip(mode="cancel"),
        Strip(mode="parallel", blend=0.1),
        Strip(chain=(HighCut(freq_hz=8000.0),)),
    ):
        assert not changed.neutral


def test_changed_strips_come_in_the_order_of_the_stems() -> None:
    loud = Strip(gain_db=1.0)
    found = session(strips={"residual": loud, "bass": loud, "vocals": loud, "drums": Strip()})
    assert found.changed == ("vocals", "bass", "residual")
    assert not found.untouched
    assert session(strips={"bass": Strip()}, master=(Gain(), Dither(bypass=True))).untouched
    assert not session(master=(Dither(),)).untouched


def test_the_audible_key_knows_sound_from_paperwork() -> None:
    one = session(strips={"bass": Strip(gain_db=-2.0)})
    moved = msgspec.structs.replace(one.source, path="/elsewhere/song.wav")
    assert audible_key(one) == audible_key(msgspec.structs.replace(one, source=moved, rights={"owner": "me"}))
    assert audible_key(one) != audible_key(session(strips={"bass": Strip(gain_db=-2.1)}))


def test_a_session_keeps_its_key_while_what_came_later_is_at_its_default() -> None:
    one = session(strips={"bass": Strip(chain=(Bell(freq_hz=250.0, gain_db=-2.0),))}, master=(Gain(gain_db=1.0),))
    strip = '{"gain_db":0.0,"pan":0.0,"polarity":1,"mode":"replace","blend":0.0,"chain":['
    bell = '{"type":"bell","bypass":false,"freq_hz":250.0,"gain_db":-2.0,"q":0.7}'
    master = '[{"type":"gain","bypass":false,"gain_db":1.0}]'
    assert audible_key(one).decode() == f'["{"ab" * 32}",{{"bass":{strip}{bell}]}}}},{master}]'
    placed = session(strips={"bass": Strip(chain=(Bell(freq_hz=250.0, gain_db=-2.0, placement="side"),))})
    assert audible_key(one) != audible_key(placed)
    assert "placement" not in files.dumps(one)
    assert 'placement = "side"' in files.dumps(placed)
    assert 'placement = "all"' in files.dumps(session(rights={"placement": "all"})), "rights are the engineer's"


gains = st.floats(-24, 24, allow_nan=False)
processors = st.one_of(
    st.builds(Bell, freq_hz=st.floats(10, 20_000), gain_db=gains, q=st.floats(0.1, 40), bypass=st.booleans()),
    st.builds(LowShelf, freq_hz=st.floats(10, 20_000), gain_db=gains, slope=st.floats(0.1, 1)),
    st.builds(
        HighCut,
        freq_hz=st.floats(10, 20_000),
        slope_db_oct=st.sampled_from((6, 12, 18, 24, 30, 36, 42, 48)),
        placement=st.sampled_from(("all", "mid", "side", "left", "right")),
    ),
    st.builds(Width, amount=st.floats(0, 2)),
)
strips = st.builds(
    Strip,
    gain_db=gains,
    pan=st.floats(-1, 1),
    polarity=st.sampled_from((1, -1)),
    mode=st.sampled_from(("replace", "parallel", "cancel")),
    blend=st.floats(0, 4),
    chain=st.lists(processors, max_size=4).map(tuple),
)


@given(st.dictionaries(st.sampled_from((*STEMS, "residual")), strips))
def test_a_session_comes_back_from_toml_as_it_was(found: dict[str, Strip]) -> None:
    before = session(strips=found)
    text = files.dumps(before)
    assert files.from_tables(files.toml.parse(text, "text"), files.Origin("text", text)) == before


def test_every_processor_can_be_written_down() -> None:
    names = "bell low_shelf high_shelf low_cut high_cut notch tilt all_pass dynamic_bell transient_shaper"
    names += " compressor gate deesser saturation width mono_below delay gain vst3 limiter dither"
    assert sorted(kinds()) == sorted(names.split())


def test_rights_are_carried_verbatim(tmp_path: Path) -> None:
    path = tmp_path / "song.unbake.toml"
    rights = '[rights]\nowner = "Änne"\ncleared = 2026-05-01\nsplits = [\n    50,\n    50,\n]\n'
    path.write_text(files.dumps(session()) + "\n" + rights, encoding="utf-8")
    assert files.dumps(files.load(path), tmp_path).endswith(rights)


@pytest.mark.parametrize(
    ("line", "replacement", "said"),
    [
        ("gain_db = -5.0", "gain_db = -50.0", "strips.bass.chain[0].gain_db: must be >= -24"),
        ("gain_db = -5.0", "gain_db = nan", "strips.bass.chain[0].gain_db"),
        ("gain_db = -5.0", 'gain_db = "loud"', "strips.bass.chain[0].gain_db: must be a number"),
        ("gain_db = -5.0", "gian_db = -5.0", "strips.bass.chain[0].gian_db: no such key (did you mean gain_db?)"),
        ('type = "bell"', 'type = "ball"', "strips.bass.chain[0].type"),
        ('mode = "replace"', 'mode = "swap"', "strips.bass.mode"),
        ("polarity = 1", "polarity = 0", "strips.bass.polarity"),
        (
            "[strips.bass]",
            "[strips.tuba]",
            "strips.tuba: no such stem (starter makes vocals, drums, bass, other, residual)",
        ),
        ("schema = 1", "schema = 2", "schema: made by a newer unbake"),
        ("schema = 1", "sheep = 1", "sheep: no such key"),
        ("frames = 1000", "", "source.frames: is missing"),
    ],
)
def test_a_wrong_session_is_refused_with_file_line_and_key(
    tmp_path: Path, line: str, replacement: str, said: str
) -> None:
    path = tmp_path / "song.unbake.toml"
    text = (
        files.dumps(session()).rstrip()
        + '\n\n[strips.bass]\nmode = "replace"\npolarity = 1\n\n[[strips.bass.chain]]\n'
        + 'type = "bell"\nfreq_hz = 250.0\ngain_db = -5.0\n'
    )
    assert line in text
    path.write_text(text.replace(line, replacement))
    with pytest.raises(UnbakeError) as caught:
        files.load(path)
    assert said in caught.value.line()
    assert str(path) in caught.value.line()
    if replacement and "is missing" not in said:
        number = path.read_text().splitlines().index(replacement) + 1
        assert f"line {number}:" in caught.value.line()


def test_broken_toml_is_one_line_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "song.unbake.toml"
    path.write_text("schema = = 1\n")
    with pytest.raises(UnbakeError, match=r"not valid TOML.*line 1"):
        files.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnbakeError, match="not a text file"):
        files.load(path)


def test_values_are_set_by_path() -> None:
    made = files.set_values(
        session(),
        [
            "strips.bass.gain_db=-2",
            "strips.bass.mode=parallel",
            'strips.bass.chain[0]={type="bell", freq_hz=250, gain_db=-4}',
            'strips.bass.chain[1]={type="width", amount=0.5}',
            "strips.bass.chain[0].q=2",
            'master=[{type="gain", gain_db=-1}]',
            'rights.owner="me"',
        ],
    )
    assert made.strips["bass"].gain_db == -2.0
    assert made.strips["bass"].chain == (Bell(freq_hz=250.0, gain_db=-4.0, q=2.0), Width(amount=0.5))
    assert made.master == (Gain(gain_db=-1.0),)
    assert made.rights == {"owner": "me"}
    assert files.set_values(made, ["strips.bass.chain[0]="]).strips["bass"].chain == (Width(amount=0.5),)
    assert files.set_values(made, ["strips.bass="]).strips == {}


@pytest.mark.parametrize(
    "assignment",
    [
        "strips.bass.gain_db",
        "strips.bass.gain_db=100",
        "strips.bass.gain_db=nan",
        "strips.tuba.gain_db=1",
        "strips.bass.chain[3].q=1",
        "strips.bass.chain[3]={}",
        "strips.bass.chain=[1",
        "strips.bass.loudness=1",
        "strips..gain_db=1",
        "=1",
        "nothing=",
    ],
)
def test_a_wrong_assignment_is_refused_by_name(assignment: str) -> None:
    with pytest.raises(UnbakeError) as caught:
        files.set_values(session(), [assignment])
    assert assignment.partition("=")[0].split(".")[-1].split("[")[0] in caught.value.line()


@given(st.lists(st.one_of(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.integers(0, 99)), min_size=1))
def test_key_paths_survive_being_written(steps: list[str | int]) -> None:
    assert steps_of(words_of(tuple(steps))) == tuple(steps)


def test_lines_are_found_in_inline_and_nested_tables() -> None:
    text = '[a]\nx = 1\n[[a.chain]]\nq = 1\n[[a.chain]]\nq = 2\n[b]\nchain = [\n  {q = 1},\n]\n"k y".z = 3\n'
    assert line_of(text, ("a", "x")) == 2
    assert line_of(text, ("a", "chain", 1, "q")) == 6
    assert line_of(text, ("b", "chain", 0, "q")) == 8
    assert line_of(text, ("b", "k y", "z")) == 11
    assert line_of(text, ("nowhere",)) is None


def test_a_source_beside_its_session_is_named_relative_to_it(tmp_path: Path) -> None:
    made = session(source=Source(str(tmp_path / "song.wav"), "ab", 44_100, 2, 10, "WAV", "PCM_16"))
    path = files.default_path(tmp_path / "song.wav")
    path.write_text(files.dumps(made, path.parent))
    assert 'path = "song.wav"' in path.read_text()
    assert files.load(path) == made


def test_a_session_goes_home_when_its_folder_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    first = files.default_path(tmp_path / "a" / "song.wav")
    second = files.default_path(tmp_path / "b" / "song.wav")
    assert first.parent.name == "sessions"
    assert first != second
