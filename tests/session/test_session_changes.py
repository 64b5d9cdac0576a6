"""Differences between two sessions, as an engineer would say them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.session import edits, presets
from core.session.changes import Difference, differences
from core.session.document import Separation, Session, Source, Strip
from core.session.processors import Bell, Dither, Gain, HighShelf, Limiter, LowCut, Processor

SOURCE = Source("/music/song.wav", "ab", 44_100, 2, 10, "WAV", "PCM_16")
STEMS = ("vocals", "drums", "bass", "other")
BELL = Bell(freq_hz=250.0, gain_db=-4.0, q=0.8)


def session(**changes: object) -> Session:
    return msgspec.structs.replace(Session(source=SOURCE, separation=Separation(stems=STEMS)), **changes)


def bass(*chain: Processor, **changes: object) -> Session:
    return session(strips={"bass": msgspec.structs.replace(Strip(), chain=chain, **changes)})


def lines(before: Session, after: Session) -> list[str]:
    return [difference.line for difference in differences(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (session(), session(strips={"bass": Strip()}), []),
        (session(), bass(BELL), ["bass: + bell 250 Hz -4 dB Q 0.8"]),
        (bass(BELL), session(), ["bass: - bell 250 Hz -4 dB Q 0.8"]),
        (session(), bass(gain_db=-1.5), ["bass: gain 0 dB -> -1.5 dB"]),
        (bass(pan=0.1), bass(mode="cancel"), ["bass: pan 10% right -> centre", "bass: mode replace -> cancel"]),
        (
            bass(BELL),
            bass(Bell(freq_hz=300.0, gain_db=-5.0, q=0.8, bypass=True)),
            [
                "bass: bell 250 Hz: bypassed",
                "bass: bell 250 Hz: frequency 250 Hz -> 300 Hz",
                "bass: bell 250 Hz: gain -4 dB -> -5 dB",
            ],
        ),
        (bass(BELL), bass(msgspec.structs.replace(BELL, q=2.0)), ["bass: bell 250 Hz: Q 0.8 -> 2"]),
        (
            session(master=(Limiter(),)),
            session(master=(Gain(gain_db=-1.0), Limiter(ceiling_dbtp=-2.0))),
            ["master: limiter: ceiling -1 dBTP -> -2 dBTP", "master: + gain -1 dB"],
        ),
        (session(master=(Limiter(),)), session(), ["master: - limiter -1 dBTP"]),
        (
            session(master=(Dither(),)),
            session(master=(Dither(bits=16),)),
            ["master: dither: word length output bits -> 16 bits"],
        ),
        (
            bass(BELL, LowCut(freq_hz=28.0)),
            bass(HighShelf(freq_hz=8000.0, gain_db=1.0), BELL, LowCut(freq_hz=30.0)),
            ["bass: low cut 28 Hz: frequency 28 Hz -> 30 Hz", "bass: + high shelf 8 kHz +1 dB"],
        ),
        (
            bass(LowCut(freq_hz=28.0), BELL),
            bass(BELL, LowCut(freq_hz=28.0)),
            ["bass: low cut 28 Hz 12 dB/oct: place 1 -> 2"],
        ),
        (bass(BELL), bass(Gain(gain_db=-1.0)), ["bass: - bell 250 Hz -4 dB Q 0.8", "bass: + gain -1 dB"]),
        (
            session(),
            session(separation=Separation(model="spleeter-2stems", stems=("vocals", "accompaniment"), overlap=4.0)),
            [
                "separation: model starter -> spleeter-2stems",
                "separation: stems vocals, drums, bass, other -> vocals, accompaniment",
                "separation: overlap 2 -> 4",
            ],
        ),
        (
            session(),
            session(separation=Separation(stems=STEMS, hashes={"bass": "09"}, stems_from="/stems", align=True)),
            ["separation: + stems from /stems", "separation: align off -> on", "separation: stems bass made"],
        ),
        (session(), session(rights={"owner": "me"}), ["rights: + owner me"]),
        (
            session(),
            session(source=msgspec.structs.replace(SOURCE, path="/b.wav")),
            ["source: path /music/song.wav -> /b.wav"],
        ),
    ],
)
def test_differences_are_said_in_engineers_words(before: Session, after: Session, said: list[str]) -> None:
    assert lines(before, after) == said


def test_the_processor_that_is_nearest_is_the_one_that_changed() -> None:
    low, high = Bell(freq_hz=100.0, gain_db=-2.0), Bell(freq_hz=4000.0, gain_db=1.0)
    assert lines(bass(BELL), bass(low, msgspec.structs.replace(BELL, gain_db=-3.0), high)) == [
        "bass: bell 250 Hz: gain -4 dB -> -3 dB",
        "bass: + bell 100 Hz -2 dB Q 0.7",
        "bass: + bell 4 kHz +1 dB Q 0.7",
    ]
    assert lines(bass(low, BELL, high), bass(BELL, high)) == ["bass: - bell 100 Hz -2 dB Q 0.7"]


def test_strips_come_in_the_order_of_the_stems() -> None:
    after = session(strips={"residual": Strip(gain_db=1.0), "bass": Strip(gain_db=1.0), "vocals": Strip(gain_db=1.0)})
    assert [difference.where for difference in differences(session(), after)] == ["vocals", "bass", "residual"]


def test_a_preset_can_be_looked_at_before_it_is_laid() -> None:
    found = differences(session(), edits.lay(session(), presets.find("tame-drums")).session)
    assert found == (
        Difference("drums", "changed", "gain 0 dB -> -1.5 dB"),
        Difference("drums", "added", "bell 4 kHz -1.5 dB Q 0.8"),
        Difference("drums", "added", "high shelf 9 kHz -1.5 dB"),
    )


processors = st.one_of(
    st.builds(Bell, freq_hz=st.sampled_from((100.0, 250.0, 4000.0)), gain_db=st.sampled_from((-3.0, 0.0, 3.0))),
    st.builds(LowCut, freq_hz=st.sampled_from((20.0, 30.0)), bypass=st.booleans()),
    st.builds(Gain, gain_db=st.sampled_from((-1.0, 0.0))),
)


@given(st.lists(processors, max_size=6), st.lists(processors, max_size=6))
def test_there_is_a_difference_exactly_where_there_is_one(before: list[Processor], after: list[Processor]) -> None:
    found = differences(bass(*before), bass(*after))
    assert bool(found) == (before != after)
    added = sum(one.kind == "added" for one in found)
    removed = sum(one.kind == "removed" for one in found)
    assert len(after) - len(before) == added - removed
