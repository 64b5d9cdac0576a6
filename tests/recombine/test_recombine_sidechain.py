"""A strip that listens to another stem: the bass ducks where the kick speaks, to the frame, wherever one starts."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from core.audition.clips import content_id
from core.audition.monitor import Listening, Monitor
from core.errors import UnbakeError
from core.events import finish
from core.recombine.check import check_session
from core.recombine.graph import Graph
from core.session import files, presets
from core.session.document import Separation, Session, Source, Strip, StripProcessor, audible_key
from core.session.processors import Bell, Compressor, DynamicBell, MonoBelow, TransientShaper
from core.session.toml import Origin
from core.strips.chain import build_strip
from core.strips.dynamic_eq import DynamicBellStage

RATE = 44_100
FRAMES = 3 * RATE
DUCK = DynamicBell(
    freq_hz=60.0, q=1.0, threshold_db=-30.0, range_db=-12.0, attack_ms=1.0, release_ms=80.0, sidechain="drums"
)


@pytest.fixture
def stems(tmp_path: Path) -> dict[str, Path]:
    """A bass of 60 Hz that never stops, and a kick of 60 Hz every second."""
    time_s = np.arange(FRAMES) / RATE
    since = time_s % 1.0
    rng = np.random.default_rng(4)
    sounds = {
        "bass": 0.25 * np.sin(2 * np.pi * 60.0 * time_s),
        "drums": np.where(since > 0.4, 0.5 * np.sin(2 * np.pi * 60.0 * since) * 10 ** (-2 * (since - 0.4)), 0.0),
        "residual": 0.001 * rng.standard_normal(FRAMES),
    }
    for name, sound in sounds.items():
        soundfile.write(tmp_path / f"{name}.wav", np.stack([sound, 0.9 * sound], axis=1), RATE, subtype="FLOAT")
    song = np.sum([soundfile.read(tmp_path / f"{name}.wav")[0] for name in sounds], axis=0)
    soundfile.write(tmp_path / "song.wav", song, RATE, subtype="FLOAT")
    return {name: tmp_path / f"{name}.wav" for name in sounds}


def session(stems: dict[str, Path], *chain: StripProcessor, **strips: Strip) -> Session:
    source = Source(str(stems["bass"].with_name("song.wav")), "ab", RATE, 2, FRAMES, "WAV", "FLOAT")
    all_strips = {"bass": Strip(chain=chain), **strips} if chain else strips
    return Session(source=source, separation=Separation(stems=("drums", "bass")), strips=all_strips)


def heard(document: Session, stems: dict[str, Path], frames: int = 65_536) -> np.ndarray:
    with Graph(document, stems) as graph:
        return np.concatenate(list(graph.blocks(frames)), axis=1)


def read(path: Path) -> np.ndarray:
    return soundfile.read(path)[0].T


def test_the_bass_ducks_where_the_kick_speaks_and_nowhere_else(stems: dict[str, Path]) -> None:
    song, bass = read(stems["bass"].with_name("song.wav")), read(stems["bass"])
    delta = heard(session(stems, DUCK), stems) - song
    ducked = (bass + delta)[0]
    level = [np.abs(ducked[round(at * RATE) : round((at + 0.05) * RATE)]).max() for at in (0.3, 0.5, 1.3, 1.5)]
    loud, low = 0.25, 0.25 * 10 ** (-12 / 20)
    assert level == pytest.approx([loud, low, loud, low], rel=0.08)
    assert not delta[:, : round(0.4 * RATE)].any(), "before the first kick not a bit moves"


@pytest.mark.parametrize(
    "before",
    [
        (),
        (TransientShaper(attack_db=6.0, high_hz=200.0),),
        (Bell(freq_hz=900.0, gain_db=2.0), MonoBelow(freq_hz=100.0)),
    ],
    ids=["first", "behind a shaper", "behind an equaliser and a mono maker"],
)
def test_what_is_heard_is_delayed_as_the_strip_itself_is(before: tuple[StripProcessor, ...]) -> None:
    """However late the stages before it are, the gain meets the very frame of the other stem that caused it."""
    rng = np.random.default_rng(1)
    own, side = 0.1 * rng.standard_normal((2, 2, 30_000))
    strip = Strip(chain=(*before, DUCK, Compressor(threshold_db=-50.0, ratio=2.0)), pan=0.2)
    whole = build_strip("bass", strip, RATE, ("L", "R"))
    found = whole.process(np.concatenate([own, side]))
    assert found.shape == own.shape
    first = build_strip("bass", Strip(chain=before), RATE, ("L", "R"))
    late = np.pad(side, ((0, 0), (first.latency, 0)))[:, :30_000]
    ducked = DynamicBellStage(DUCK, RATE, 2).treat(first.process(own), late)
    expected = build_strip("bass", Strip(chain=strip.chain[-1:], pan=0.2), RATE, ("L", "R")).process(ducked)
    assert found == pytest.approx(expected, abs=1e-12)
    assert whole.latency == first.latency


def test_blocks_of_any_size_a_seek_and_a_state_give_the_same(stems: dict[str, Path]) -> None:
    document = session(stems, TransientShaper(attack_db=6.0), DUCK)
    whole = heard(document, stems)
    assert np.abs(heard(document, stems, 999) - whole).max() < 1e-10
    with Graph(document, stems) as graph, Graph(document, stems) as other:
        graph.seek(2 * RATE)
        assert np.abs(graph.read(10_000) - whole[:, 2 * RATE : 2 * RATE + 10_000]).max() < 1e-6
        other.resume(graph.state())
        assert np.array_equal(other.read(5000), graph.read(5000))
        graph.seek(0)
        assert np.abs(graph.read(5000) - whole[:, :5000]).max() < 1e-10


def test_the_stem_that_is_heard_counts_as_used(stems: dict[str, Path]) -> None:
    document = session(stems, DUCK)
    assert document.changed == ("bass",)
    assert document.stems_used == ("drums", "bass")
    assert finish(check_session(document, stems)).passed
    quiet = Strip(mode="cancel", chain=(DUCK,))
    for unused in (
        session(stems, bass=quiet),
        session(stems, msgspec.structs.replace(DUCK, bypass=True), Bell(freq_hz=60.0, gain_db=1.0)),
    ):
        assert unused.stems_used == ("bass",)
        only = {name: path for name, path in stems.items() if name != "drums"}
        assert heard(unused, only).shape == (2, FRAMES)
    with pytest.raises(UnbakeError, match=r"strips\.bass\.chain\[1\]\.sidechain: there is no stem drums"):
        heard(session(stems, Bell(freq_hz=90.0, gain_db=1.0), DUCK), {"bass": stems["bass"]})


def test_what_listeners_mute_is_still_heard_by_the_strip(stems: dict[str, Path]) -> None:
    document = session(stems, DUCK)
    with Monitor(document, stems, Listening(mute=frozenset({"drums"}))) as monitor:
        sides = monitor.read(FRAMES)
    change = sides.repair - sides.source
    assert np.abs(change - (heard(document, stems) - read(stems["bass"].with_name("song.wav")))).max() < 1e-12
    with Monitor(document, stems, Listening(solo=frozenset({"bass"}))) as monitor:
        assert np.abs(monitor.read(FRAMES).repair - read(stems["bass"]) - change).max() < 1e-12


def test_keys_know_whom_a_strip_listens_to(stems: dict[str, Path]) -> None:
    one, other = (session(stems, msgspec.structs.replace(DUCK, sidechain=side)) for side in ("drums", "residual"))
    assert audible_key(one) != audible_key(other)
    before = content_id(one, stems, Listening())
    soundfile.write(stems["drums"], read(stems["drums"])[:, ::-1].T, RATE, subtype="PCM_24")
    assert content_id(one, stems, Listening()) != before, "another kick is another sound"


@pytest.mark.parametrize(
    ("side", "said"),
    [
        ("bass", r"strips\.bass\.chain\[1\]\.sidechain: a stem can't be its own side-chain"),
        ("tuba", r"strips\.bass\.chain\[1\]\.sidechain: there is no stem tuba \(there are drums, residual\)"),
    ],
)
def test_a_stem_that_is_not_there_and_the_strip_itself_are_refused(
    stems: dict[str, Path], side: str, said: str
) -> None:
    chain = (Bell(freq_hz=90.0, gain_db=1.0), msgspec.structs.replace(DUCK, sidechain=side))
    document = session(stems, *chain)
    with pytest.raises(UnbakeError, match=said):
        files.check_strips(document, Origin("test"))
    with pytest.raises(UnbakeError, match=said.partition(r" \(")[0]):
        heard(document, stems)
    text = files.dumps(document)
    with pytest.raises(UnbakeError, match=rf"session\.toml, line \d+: {said}"):
        files.from_tables(files.toml.parse(text, "session.toml"), Origin("session.toml", text))
    bell = f'{{type="dynamic_bell", freq_hz=60, sidechain="{side}"}}'
    with pytest.raises(UnbakeError, match=said):
        files.set_values(session(stems, *chain[:1]), [f"strips.bass.chain[1]={bell}"])


def test_the_master_stage_listens_to_nobody(stems: dict[str, Path]) -> None:
    document = msgspec.structs.replace(session(stems), master=(DUCK,))
    said = r"master\[0\]\.sidechain: the master stage has no side-chain"
    with pytest.raises(UnbakeError, match=said):
        files.check_strips(document, Origin("test"))
    with pytest.raises(UnbakeError, match=said):
        heard(document, stems)
    alone = msgspec.structs.replace(DUCK, sidechain="")
    assert heard(msgspec.structs.replace(document, master=(alone,)), stems).shape == (2, FRAMES)


def test_silent_stems_and_mono(stems: dict[str, Path], tmp_path: Path) -> None:
    soundfile.write(stems["drums"], np.zeros((FRAMES, 2)), RATE, subtype="FLOAT")
    assert np.array_equal(heard(session(stems, DUCK), stems), read(stems["bass"].with_name("song.wav")))
    stage = build_strip("bass", Strip(chain=(DUCK,)), RATE, ("M",))
    assert stage.process(np.ones((2, 1))).shape == (1, 1)


def test_a_preset_needs_whom_it_listens_to(stems: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'name = "duck"\nabout = "a"\n[[strips.bass.chain]]\ntype = "dynamic_bell"\nfreq_hz = 60.0\n'
    preset = presets.parse(text + 'range_db = -6.0\nsidechain = "drums"\n', "duck.toml", "duck.toml")
    assert preset.stems == ("bass", "drums")
    without = msgspec.structs.replace(session(stems), separation=Separation(stems=("bass",)))
    with pytest.raises(UnbakeError, match="preset duck needs the stem drums"):
        preset.over(without)
    monkeypatch.setenv("UNBAKE_HOME", str(stems["bass"].parent))
    kept = presets.read(presets.save_own("mine", "a", session(stems, DUCK), ("bass",), master=False))
    assert kept.needs.stems == ("bass", "drums")
    assert kept.over(session(stems)).strips["bass"].chain == (DUCK,)
