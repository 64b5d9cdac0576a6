"""Ways out in real time, and down a pipe: nothing late, nothing lost, headers that players take."""

from __future__ import annotations

import io
import threading
import time
from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest
import soundfile
import soxr

from core.audio.formats import Block
from core.audition import sinks
from core.audition.monitor import Monitor
from core.audition.pipe import wav_header, write_wav
from core.audition.player import Player
from core.audition.sinks import ClockSink, Feeder
from core.errors import UnbakeError
from tests.audition.audition_session import RATE, Heard


def test_a_clock_takes_what_the_player_gives_in_real_time(heard: Heard) -> None:
    player = Player(*heard)
    player.play()
    began = time.monotonic()
    with Feeder(player) as feeder, ClockSink(feeder, RATE):
        time.sleep(1.0)
        took, position = time.monotonic() - began, feeder.position
        assert feeder.peaks.max() > 0.01
    assert abs(position / RATE - took) < 0.25
    assert feeder.underruns == 0
    player.close()


def test_blocks_come_in_their_order_and_none_is_lost(heard: Heard) -> None:
    with Monitor(*heard) as monitor:
        expected = monitor.read(RATE).repair
    player = Player(*heard)
    player.play()
    with Feeder(player, block_frames=512) as feeder:
        blocks = []
        for _ in range(RATE // 512):
            blocks.append(feeder.take())
            time.sleep(0.002)
    out = np.concatenate(blocks, axis=1)
    assert feeder.underruns == 0
    assert np.array_equal(out[:, 1000:], expected[:, 1000 : out.shape[1]])
    player.close()


def test_what_comes_late_is_silence_and_counted(heard: Heard) -> None:
    class Slow(Player):
        go_on = threading.Event()

        def read(self, frames: int) -> Block:
            if self.transport.frame > 20_000:
                self.go_on.wait()
            return super().read(frames)

    player = Slow(*heard)
    player.play()
    with Feeder(player) as feeder:
        blocks = [feeder.take() for _ in range(200) if time.sleep(0.001) is None]
        assert feeder.underruns > 0
        assert not blocks[-1].any()
        player.go_on.set()
    player.close()


def test_a_player_that_fails_ends_the_feeding_and_says_why(heard: Heard) -> None:
    class Broken(Player):
        def read(self, frames: int) -> Block:
            raise UnbakeError("is damaged", where="song.wav")

    player = Broken(*heard)
    with Feeder(player) as feeder:
        assert not feeder.take().any()
        assert feeder.error is not None
        assert feeder.underruns == 0
    player.close()


@pytest.mark.parametrize("speakers", [("M",), ("L", "R"), ("L", "R", "C", "LFE", "Ls", "Rs")])
def test_the_pipe_is_a_wav_that_others_read(speakers: tuple[str, ...]) -> None:
    rng = np.random.default_rng(2)
    sound = rng.standard_normal((len(speakers), 5000))
    pipe = io.BytesIO()
    blocks = iter([sound[:, :3000], sound[:, 3000:]])
    write_wav(pipe, blocks, sample_rate=48_000, speakers=speakers, frames=5000)
    pipe.seek(0)
    with soundfile.SoundFile(pipe) as found:
        assert (found.samplerate, found.subtype, found.frames) == (48_000, "FLOAT", 5000)
        assert np.array_equal(found.read(always_2d=True).T, sound.astype(np.float32))


def test_past_4_gb_the_header_is_rf64(tmp_path) -> None:
    frames = 3 << 30
    header = wav_header(44_100, ("L", "R"), frames)
    assert header.startswith(b"RF64")
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + 8 * frames)
    assert soundfile.info(path).frames == frames


class Cards:
    """A sound system with two ways out, of which the second has 48 kHz only."""

    class PortAudioError(Exception):
        """As the real one."""

    class WasapiSettings:
        """As the real one."""

        def __init__(self, exclusive: bool) -> None:
            self.exclusive = exclusive

    system = "ALSA"
    alone = True
    busy = False
    default = SimpleNamespace(device=[-1, 2])
    opened: ClassVar[list[dict[str, Any]]] = []

    @classmethod
    def query_devices(cls, number: int | None = None) -> Any:
        cards = [("microphone", 0), ("HDMI 0", 8), ("Babyface Pro", 2)]
        found = [
            {"name": name, "max_output_channels": outs, "default_samplerate": 48_000.0, "hostapi": 0}
            for name, outs in cards
        ]
        return found if number is None else found[number]

    @classmethod
    def query_hostapis(cls, number: int) -> dict[str, str]:
        return {"name": cls.system}

    @classmethod
    def check_output_settings(cls, device: int, channels: int, dtype: str, extra: Any, rate: int) -> None:
        if (device == 2 and rate != 48_000) or rate > 192_000 or (extra is not None and not cls.alone):
            raise cls.PortAudioError("Invalid sample rate [PaErrorCode -9997]")

    @classmethod
    def OutputStream(cls, **words: Any) -> Any:
        cls.opened.append(words)
        if words["device"] == 1:
            raise cls.PortAudioError("Device unavailable [PaErrorCode -9985]")

        def start() -> None:
            if cls.busy:
                raise cls.PortAudioError("Device unavailable [PaErrorCode -9985]")

        return SimpleNamespace(latency=0.01, start=start, close=lambda: None)


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> type[Cards]:
    monkeypatch.setattr(sinks, "sound_module", lambda: Cards)
    monkeypatch.setattr(Cards, "opened", [])
    return Cards


def test_without_a_sound_card_it_says_so(cards: type[Cards], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "query_devices", list)
    with pytest.raises(UnbakeError, match="no sound card"):
        sinks.choose_device(None)


def test_cards_are_chosen_by_a_part_of_their_name(cards: type[Cards], monkeypatch: pytest.MonkeyPatch) -> None:
    assert [device.number for device in sinks.devices()] == [1, 2]
    assert sinks.choose_device("hdmi").number == 1
    monkeypatch.setattr(
        sinks, "devices", lambda: [sinks.Device(3, "sysdefault", 2, 1), sinks.Device(4, "default", 2, 1)]
    )
    assert sinks.choose_device("default").number == 4, "a whole name first"
    monkeypatch.undo()
    monkeypatch.setattr(sinks, "sound_module", lambda: Cards)
    assert sinks.choose_device(None).name == "Babyface Pro", "the system's own choice"
    monkeypatch.setattr(cards, "default", SimpleNamespace(device=[-1, -1]))
    assert sinks.choose_device(None).name == "HDMI 0"
    with pytest.raises(UnbakeError, match=r'no sound card is called "RME" .*there are: HDMI 0, Babyface Pro'):
        sinks.choose_device("RME")


def test_a_rate_that_the_card_has_not_got_is_resampled_and_said(cards: type[Cards], heard: Heard) -> None:
    hdmi, babyface = sinks.devices()
    player = Player(*heard)
    assert sinks.plan(hdmi, player.info).words() == ""
    with sinks.on_card(player, babyface, lambda: None) as playing:
        assert playing.words == "resampled to 48000 Hz"
        assert playing.device_rate == cards.opened[-1]["samplerate"] == 48_000
    six = msgspec.structs.replace(player.info, channels=6, sample_rate=384_000)
    assert sinks.plan(babyface, six).words() == "resampled to 48000 Hz, only the first 2 of 6 channels are heard"
    with pytest.raises(UnbakeError, match="can't be opened: Device unavailable"):
        sinks.on_card(player, hdmi, lambda: None)
    player.close()


def test_a_card_that_takes_no_rate_is_refused(
    cards: type[Cards], heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise cards.PortAudioError("Invalid device")

    monkeypatch.setattr(cards, "check_output_settings", refuse)
    player = Player(*heard)
    with pytest.raises(UnbakeError, match=r"neither 44100 nor 48000 Hz with 2 channels .*--browser"):
        sinks.plan(sinks.devices()[1], player.info)
    player.close()


@pytest.mark.parametrize("alone", [True, False])
def test_the_device_is_taken_alone_where_its_system_offers_that(
    cards: type[Cards], heard: Heard, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    monkeypatch.setattr(cards, "system", "Windows WASAPI")
    monkeypatch.setattr(cards, "alone", alone)
    player = Player(*heard)
    found = sinks.plan(sinks.devices()[0], player.info)
    assert (found.exclusive is not None) == alone
    player.close()


def test_resampled_is_what_soxr_makes_of_the_whole(heard: Heard) -> None:
    player = Player(*heard)
    player.play()
    out = sinks.Resampled(player, 48_000)
    found = np.concatenate([out.read(frames) for frames in (1, 511, 700, 20_000, 3)], axis=1)
    assert out.transport.frame >= found.shape[1] * RATE // 48_000
    player.seek(0)
    whole = Player(*heard)
    whole.play()
    expected = soxr.resample(whole.read(RATE).T, RATE, 48_000, quality="VHQ").T
    assert np.abs(found - expected[:, : found.shape[1]]).max() < 1e-9
    player.close()
    whole.close()


def test_after_blocks_that_came_late_the_queue_is_longer(heard: Heard) -> None:
    player = Player(*heard)
    player.play()
    with Feeder(player, ahead_ms=40.0) as feeder:
        before = feeder._blocks
        while feeder.underruns < 3:
            feeder.take()
        assert feeder._blocks == before + 3
        time.sleep(0.2)
        assert len(feeder._queue) == before + 3
        for _ in range(10_000):
            feeder.take()
        assert feeder._blocks == feeder._most_blocks
    player.close()
