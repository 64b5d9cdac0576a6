"""Ways out in real time, and down a pipe: nothing late, nothing lost, headers that players take."""

from __future__ import annotations

import io
import threading
import time

import numpy as np
import pytest
import soundfile

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


def test_without_a_sound_card_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoCards:
        @staticmethod
        def query_devices() -> list[dict[str, object]]:
            return []

    monkeypatch.setattr(sinks, "sound_module", lambda: NoCards)
    with pytest.raises(UnbakeError, match="no sound card"):
        sinks.choose_device(None)


def test_cards_are_chosen_by_a_part_of_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def card(name: str, outs: int) -> dict[str, object]:
        return {"name": name, "max_output_channels": outs, "default_samplerate": 48_000.0}

    class Cards:
        @staticmethod
        def query_devices() -> list[dict[str, object]]:
            return [card("microphone", 0), card("HDMI 0", 8), card("Babyface Pro", 12)]

    monkeypatch.setattr(sinks, "sound_module", lambda: Cards)
    assert [device.number for device in sinks.devices()] == [1, 2]
    assert sinks.choose_device("babyface").number == 2
    assert sinks.choose_device(None).name == "HDMI 0"
    with pytest.raises(UnbakeError, match=r'no sound card is called "RME" .*there are: HDMI 0, Babyface Pro'):
        sinks.choose_device("RME")
