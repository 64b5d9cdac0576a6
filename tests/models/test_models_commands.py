"""`unbake models`: what is said before a download, who is asked, what is printed, and how it ends."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import models_tiny
import msgspec
import pytest
import torch
from models_site import Site

from core import places
from core.atomic import size_in_words
from models import fetch as transfers
from models import registry
from models.registry import Card


def test_the_list_keeps_to_the_contract(unbake) -> None:
    found = unbake("models", "list", "--json").json
    assert found["schema"] == 1
    names = {model["name"]: model for model in found["models"]}
    starter = names["starter"]
    assert starter["installed"] is True
    assert {"name", "architecture", "stems", "sample_rate", "installed", "licence"} <= starter.keys()
    text = unbake("models", "list").out
    assert "starter" in text
    assert "installed" in text


def test_the_list_for_a_source_says_what_is_compared(unbake, own_card: Callable[..., Card]) -> None:
    score = '[[scores]]\nmetric = "SDR"\ntest_set = "Exam"\nsource = "a paper"\nvalues = {{ vocals = {} }}\n'
    own_card("one", scores=score.format(3.0))
    own_card("two", scores=score.format(4.0), licence="GPL-3.0")
    out = unbake("models", "list", "--for", "vocals").out
    block = next(each for each in out.split("\n\n") if each.startswith("vocals, by SDR on Exam"))
    lines = [line.split() for line in block.splitlines()[1:]]
    assert [(line[0], line[2]) for line in lines] == [("4.00", "two"), ("3.00", "one")]
    assert "GPL-3.0" in block
    assert "without a figure that can be compared" in out
    found = unbake("models", "list", "--for", "vocals", "--json").json
    assert found["source"] == "vocals"
    assert any(ranking["test_set"] == "Exam" for ranking in found["rankings"])
    wrong = unbake("models", "list", "--for", "kazoo")
    assert wrong.code == 2
    assert "no stem or job is called" in wrong.err


def test_a_pipe_must_agree_beforehand(unbake, served: Card, site: Site) -> None:
    refused = unbake("models", "fetch", "mine")
    assert refused.code == 2
    assert refused.out == ""
    assert "licence  none stated" in refused.err
    assert f"{served.weights[0].url}" in refused.err
    last = refused.err.splitlines()[-1]
    assert "would be fetched, licence none stated, and nobody can be asked here (say --yes to agree)" in last
    assert site.requests == []
    done = unbake("models", "fetch", "mine", "--yes", "--json")
    assert done.code == 0
    (model,) = done.json["models"]
    assert model["files"] == [str(served.weights[0].path())]
    assert model["licence"] == "none stated"
    again = unbake("models", "fetch", "mine")
    assert again.code == 0, "nothing to fetch, nothing to agree to"
    assert again.out == "mine: all of its weights are here, SHA-256 as its card says\n"
    assert len(site.requests) == 1


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, *words: str) -> None:
        self.master, slave = pty.openpty()
        code = (
            "import sys\nsys.path.insert(0, sys.argv.pop(1))\nfrom models import registry\n"
            "registry.ARCHITECTURES['tiny'] = registry.Architecture('models_tiny', 1)\n"
            "from tui.__main__ import main\nsys.exit(main(sys.argv[1:]))"
        )
        command = [sys.executable, "-c", code, str(Path(__file__).parent), *words]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return
            if not data:
                return
            self.text += data.decode(errors="replace")

    def until(self, words: str) -> None:
        end = time.monotonic() + 30.0
        while words not in self.text:
            assert time.monotonic() < end, self.text
            time.sleep(0.01)

    def end(self) -> int:
        code = self.process.wait(30.0)
        self._reader.join(5.0)
        return code


@pytest.mark.parametrize(("answer", "code", "files"), [("y\n", 0, 1), ("\n", 2, 0), ("no\n", 2, 0)])
def test_a_person_is_asked_after_size_and_licence_were_shown(
    served: Card, site: Site, answer: str, code: int, files: int
) -> None:
    terminal = Terminal("models", "fetch", "mine")
    terminal.until("[y/N]")
    assert "none stated" in terminal.text
    assert f"fetch {size_in_words(served.weights[0].bytes)}?" in terminal.text
    assert site.requests == []
    os.write(terminal.master, answer.encode())
    assert terminal.end() == code
    assert registry.is_installed(served) is bool(files)
    if not files:
        assert "nothing was done" in terminal.text


def test_ctrl_c_keeps_what_has_arrived_and_says_how_to_go_on(served: Card, site: Site) -> None:
    page = site.pages["/mine.ckpt"]
    page.go_on, page.block = threading.Event(), 400
    terminal = Terminal("models", "fetch", "mine", "--yes")
    path = served.weights[0].path()
    while transfers.arrived(path) < 400:
        assert terminal.process.poll() is None, terminal.text
        time.sleep(0.01)
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 130
    assert "asked again" in terminal.text
    assert "Traceback" not in terminal.text
    assert transfers.arrived(path) == 400
    page.go_on = None
    terminal = Terminal("models", "fetch", "mine", "--yes")
    assert terminal.end() == 0
    assert "400 bytes of it here" in terminal.text
    assert registry.is_installed(served)
    assert site.ranges == [None, "bytes=400-"]


def test_a_failed_fetch_is_one_line(unbake, served: Card, site: Site) -> None:
    site.pages.clear()
    failed = unbake("models", "fetch", "mine", "--yes", "--quiet")
    assert failed.code == 2
    (line,) = failed.err.splitlines()
    assert line.startswith(f"unbake: error: {site.url}mine.ckpt: the file is not there any more (404 Not Found)")


def test_from_a_checkpoint_to_a_checked_model_and_away_again(
    unbake, tiny: None, checkpoint: Path, tmp_path: Path
) -> None:
    config = tmp_path / "net.yaml"
    config.write_text(
        "audio: {chunk_size: 4410}\nmodel: {dim: 4}\n"
        "training: {instruments: [vocals, other], target_instrument: vocals}"
    )
    added = unbake("models", "add", checkpoint, "--config", config, "--architecture", "tiny", "--name", "voices")
    assert added.code == 0, added.err
    assert added.out.splitlines()[0].split() == ["model", "voices"]
    checked = unbake("models", "check", "voices", "--device", "cpu")
    assert checked.code == 0
    assert checked.out.startswith("voices: right, on cpu")
    assert "x real time" in checked.out
    shown = unbake("models", "show", "voices").out
    assert "speed here" in shown
    assert "x (cpu, " in shown
    refused = unbake("models", "remove", "voices", "--card")
    assert refused.code == 2
    assert "say --yes to agree" in refused.err
    removed = unbake("models", "remove", "voices", "--card", "--yes")
    assert removed.code == 0
    assert "freed" in removed.out
    assert unbake("models", "show", "voices").code == 2
    assert not list((places.home() / "weights").iterdir())


def test_a_check_that_fails_is_exit_1(unbake, own_card: Callable[..., Card], checkpoint: Path) -> None:
    card = own_card()
    unbake("models", "add", checkpoint, "--card", "mine")
    card.weights[0].path().write_bytes(bytes(card.weights[0].bytes))
    failed = unbake("models", "check", "mine", "--json")
    assert failed.code == 1
    assert failed.json["passed"] is False
    assert "corrupt" in failed.json["models"][0]["problem"]


def test_a_wrong_checkpoint_is_one_line_that_names_the_tensor(unbake, tiny: None, tmp_path: Path) -> None:
    path, config = tmp_path / "net.ckpt", tmp_path / "net.yaml"
    torch.save(models_tiny.tensors(stems=3), path)
    config.write_text("audio: {chunk_size: 4410}\nmodel: {dim: 4}\ntraining: {instruments: [vocals]}")
    refused = unbake("models", "add", path, "--config", config, "--architecture", "tiny", "--quiet")
    assert refused.code == 2
    (line,) = refused.err.splitlines()
    assert "tensor mix.bias is (6,) in the weights and (2,) in the network" in line


def test_a_card_tells_all_it_holds(unbake, own_card: Callable[..., Card]) -> None:
    card = own_card(more='jobs = ["dereverb"]\ncaution = "mind the gap"')
    shown = unbake("models", "show", "mine")
    for words in ("a voice or a mix without its reverberation", "mind the gap", "none stated", "nobody, https://"):
        assert words in shown.out
    value = unbake("models", "show", "mine", "--json").json
    assert msgspec.convert({key: value[key] for key in Card.__struct_fields__}, Card) == card
