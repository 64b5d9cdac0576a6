"""The warning of a parallel strip that combs: exact where the notches of a sum are known, silent where phase stays."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from core.audio.formats import AudioInfo
from core.audio.hashes import Fingerprint
from core.jobs.opening import Located
from core.session.document import Separation, Session, Source, Strip
from core.session.editor import Editor
from core.session.processors import (
    AllPass,
    Bell,
    Compressor,
    Delay,
    Gain,
    HighCut,
    LowCut,
    Placement,
    StripProcessor,
    Width,
)
from core.strips.chain import build_strip
from core.strips.comb import Comb, comb_of, loss_db, warnings_of
from core.strips.stage import Aligned
from tui.desk.bench import Bench
from tui.desk.chain import chain_rows

RATE = 44_100
STEREO = ("L", "R")


def parallel(*chain: StripProcessor, blend: float = 1.0, **values: object) -> Strip:
    return Strip(mode="parallel", blend=blend, chain=chain, **values)  # type: ignore[arg-type]


def found(strip: Strip, speakers: tuple[str, ...] = STEREO, rate: int = RATE) -> Comb:
    comb = comb_of(strip, rate, speakers)
    assert comb is not None
    return comb


@pytest.mark.parametrize("frames", [2, 10, 100, 441, -333])
def test_a_delay_at_full_blend_leaves_nothing_at_odd_multiples_of_half_its_rate(frames: int) -> None:
    strip = parallel(Delay(frames=frames))
    first_hz = RATE / (2 * abs(frames))
    odd = first_hz * np.arange(1, abs(frames) + 1, 2)
    assert loss_db(strip, odd, RATE, STEREO).max() <= -120.0
    # between them it adds up whole
    assert loss_db(strip, 2.0 * first_hz * np.arange(1, 1 + abs(frames) // 2), RATE, STEREO) == pytest.approx(0.0)
    comb = found(strip)
    assert comb.notch_hz == pytest.approx(first_hz * (1 if first_hz >= 20.0 else 3), rel=1e-6)
    assert comb.notch_db <= -110.0
    assert comb.warned


def test_the_depth_at_other_blends_is_the_formula() -> None:
    for blend in (0.1, 0.5, 2.0):
        comb = found(parallel(Delay(frames=100), blend=blend))
        assert comb.notch_db == pytest.approx(20 * np.log10(abs(1 - blend) / (1 + blend)), abs=1e-6)
        assert comb.ripple_db == pytest.approx(-comb.notch_db, abs=1e-3)
        assert comb.warned == (comb.notch_db < -3.0)
    assert not found(parallel(Delay(frames=100), blend=0.1)).warned


def test_an_all_pass_cancels_at_its_frequency_and_a_steep_cut_where_it_has_turned_by_half() -> None:
    assert found(parallel(AllPass(freq_hz=500.0))).notch_hz == pytest.approx(500.0, abs=0.01)
    assert found(parallel(HighCut(freq_hz=5000.0, slope_db_oct=48))).notch_db < -40.0
    # no phase, no comb
    linear = parallel(HighCut(freq_hz=5000.0, slope_db_oct=48), eq_phase="linear")
    assert found(linear).notch_db == pytest.approx(0.0, abs=1e-9)
    # but an all-pass stays one
    assert found(parallel(AllPass(freq_hz=500.0), eq_phase="linear")).warned


def test_inverted_polarity_cancels_everywhere_and_says_so() -> None:
    comb = found(parallel(blend=0.5, polarity=-1))
    assert comb.ripple_db == pytest.approx(0.0, abs=1e-9)
    assert comb.notch_db == pytest.approx(20 * np.log10(0.5 / 1.5))
    assert comb.words == "cancels: -9.5 dB at all frequencies against the same in phase"


def test_only_what_turns_phase_in_parallel_is_looked_at() -> None:
    assert comb_of(Strip(chain=(Delay(frames=100),)), RATE, STEREO) is None
    assert comb_of(parallel(Delay(frames=100), blend=0.0), RATE, STEREO) is None
    assert comb_of(parallel(Compressor(ratio=4.0), Gain(gain_db=-6.0), Width(amount=0.5)), RATE, STEREO) is None
    assert comb_of(parallel(Delay(frames=100, bypass=True)), RATE, STEREO) is None


@pytest.mark.parametrize(("placement", "part"), [("mid", "mid"), ("side", "side"), ("left", "left")])
def test_what_acts_on_a_part_combs_on_that_part(placement: Placement, part: str) -> None:
    comb = found(parallel(AllPass(freq_hz=500.0, placement=placement)))
    assert comb.part == part
    assert comb.notch_hz == pytest.approx(500.0, abs=0.01)


def test_a_balance_is_no_comb_and_hides_none() -> None:
    assert found(parallel(Bell(freq_hz=500.0, gain_db=0.1), pan=0.5)).notch_db > -0.1
    assert found(parallel(AllPass(freq_hz=500.0), pan=0.5)).notch_db < -60.0


@pytest.mark.parametrize(
    "strip",
    [
        parallel(Bell(freq_hz=700.0, gain_db=9.0, q=1.5), Delay(frames=7.5), blend=0.7, gain_db=-2.0),
        parallel(AllPass(freq_hz=300.0), LowCut(freq_hz=200.0, slope_db_oct=24), blend=1.2, polarity=-1),
        parallel(Bell(freq_hz=500.0, gain_db=12.0, placement="side"), Width(amount=0.5), pan=-0.3),
    ],
    ids=["bell and delay", "all-pass and cut", "side and width"],
)
def test_it_is_what_the_chain_really_does(strip: Strip) -> None:
    """The impulse response of the stages that a render runs, and its spectrum beside the stem's own."""
    frames = 1 << 15
    comb = found(strip)
    heard = {"": (1.0, 1.0), "mid": (1.0, 1.0), "side": (1.0, -1.0), "left": (1.0, 0.0), "right": (0.0, 1.0)}[comb.part]
    sound = np.zeros((2, 2 * frames))
    sound[:, frames // 2] = heard
    place = 0

    def read(count: int) -> np.ndarray:
        nonlocal place
        block, place = sound[:, place : place + count], place + count
        return block

    added = strip.blend * Aligned(build_strip("bass", strip, RATE, STEREO), read).read(frames)
    spectra = np.fft.rfft(np.stack([sound[:, :frames], added]), axis=-1)
    freqs = np.fft.rfftfreq(frames, 1.0 / RATE)
    measured = 20 * np.log10(
        np.linalg.norm(spectra.sum(axis=0), axis=0) / np.linalg.norm(np.abs(spectra).sum(axis=0), axis=0)
    )
    inside = (freqs > 20.0) & (freqs < 18_000.0)
    assert loss_db(strip, freqs[inside], RATE, STEREO, comb.part) == pytest.approx(measured[inside], abs=0.01)


def session(strip: Strip) -> Session:
    source = Source("song.wav", "ab", RATE, 2, RATE, "WAV", "PCM_24")
    return Session(source=source, separation=Separation(stems=("drums",)), strips={"drums": strip})


def test_the_sentence_names_strip_depth_and_place() -> None:
    assert warnings_of(session(parallel(Delay(frames=100))), STEREO) == [
        "drums, added in parallel, combs: gone at 220 Hz against the same in phase"
    ]
    assert warnings_of(session(parallel(Delay(frames=100), blend=0.5)), STEREO) == [
        "drums, added in parallel, combs: -9.5 dB at 220 Hz against the same in phase, ripple 9.5 dB"
    ]
    assert warnings_of(session(parallel(Delay(frames=100), blend=0.1)), STEREO) == []


@pytest.mark.parametrize("rate", [8000, 384_000])
def test_any_rate_and_mono(rate: int) -> None:
    comb = found(parallel(Delay(frames=20_000.0)), ("M",), rate)
    assert 20.0 <= comb.notch_hz <= 0.49 * rate
    assert comb.notch_db < -60.0


def test_render_and_session_show_say_it(unbake, song: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.unbake.toml"
    assert unbake("session", "new", song, "--stems-from", song.parent / "stems", "-o", path).code == 0
    edit = ("strips.drums.mode=parallel", "strips.drums.blend=0.5", "strips.drums.chain[0]={type='delay', frames=100}")
    said = "drums, added in parallel, combs: -9.5 dB at 220 Hz"
    assert f"warning: {said}" in unbake("session", "set", path, *edit).out
    assert unbake("session", "show", path, "--json").json["warnings"][0].startswith(said)
    rendered = unbake("render", path, "-o", tmp_path / "out.wav")
    assert rendered.code == 0
    assert said in rendered.err


@pytest.mark.parametrize(("blend", "rows"), [(0.1, 0), (1.0, 1)])
def test_the_chain_in_the_app_says_it(blend: float, rows: int) -> None:
    document = session(parallel(Delay(frames=100), blend=blend))
    info = AudioInfo("song.wav", "WAV", "PCM_24", RATE, 2, RATE, STEREO, lossless=True)
    located = Located(Path("song.wav"), Path("s.unbake.toml"), False, info, Fingerprint(0, 0, 0))
    bench = Bench(located=located, editor=cast("Editor", SimpleNamespace(session=document)), strip="drums")
    said = ["".join(cell.text for cell in row.cells) for row in chain_rows(bench, 80) if not row.choice]
    assert said == ["  combs: gone at 220 Hz against the same in phase"][:rows]
