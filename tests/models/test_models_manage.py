"""Models from the first look to their removal, by the operations that the command line and the app share."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import models_tiny
import numpy as np
import pytest
import torch
from models_site import Page, Site
from safetensors.torch import save_file

from core import places, settings
from core.errors import UnbakeError
from core.events import Note, Progress, finish
from core.jobs import adding, models, trial
from core.separation import learnt
from models import registry
from models.registry import Card

SCORE = '[[scores]]\nmetric = "{}"\ntest_set = "{}"\nsource = "a paper"\nvalues = {{ vocals = {} }}\n'
CONFIG = """
audio: {chunk_size: 4410, sample_rate: 44100, n_fft: 32}
model: {dim: 4, gain: 2.0, dropout: 0.1}
training: {instruments: [vocals, other], target_instrument: vocals}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A public configuration of the tiny network with one stem."""
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


# ---- choosing


def test_figures_are_compared_on_one_test_set_by_one_metric_only(own_card: Callable[..., Card]) -> None:
    for name, scores in {
        "good": [("SDR", "A", 9.5), ("bleedless", "A", 30.0)],
        "better": [("SDR", "A", 10.5), ("SDR", "B", 3.0)],
        "other-set": [("SDR", "B", 20.0)],
        "unsaid": [("SDR", "not stated", 99.0)],
        "silent": [],
    }.items():
        own_card(name, scores="".join(SCORE.format(*each) for each in scores))
    found = models.listing("vocals")
    own = {"good", "better", "other-set", "unsaid", "silent"}
    rankings = {
        (ranking.metric, ranking.test_set): [(place.name, place.value) for place in ranking.places if place.name in own]
        for ranking in found.rankings
    }
    assert rankings["SDR", "A"] == [("better", 10.5), ("good", 9.5)]
    assert rankings["SDR", "B"] == [("other-set", 20.0), ("better", 3.0)]
    assert ("bleedless", "A") not in rankings, "one figure ranks nothing"
    assert ("SDR", "not stated") not in rankings
    assert own & set(found.unranked) == {"unsaid", "silent"}
    lengths = [len(ranking.places) for ranking in found.rankings]
    assert lengths == sorted(lengths, reverse=True)


def test_models_are_found_by_what_they_are_for(own_card: Callable[..., Card]) -> None:
    own_card("room", more='jobs = ["dereverb"]', scores=SCORE.format("SDR", "A", 1.0))
    own_card("room-two", more='jobs = ["dereverb"]', scores=SCORE.format("SDR", "A", 2.0))
    found = models.listing("dereverb")
    assert {"room", "room-two"} <= {model.name for model in found.models}
    assert all("dereverb" in model.jobs for model in found.models)
    (ranking,) = (each for each in found.rankings if each.test_set == "A")
    assert [place.name for place in ranking.places] == ["room-two", "room"]
    with pytest.raises(UnbakeError, match='no stem or job is called "vocal"; did you mean vocals'):
        models.listing("vocal")


def test_a_job_that_there_is_not_is_refused_in_a_card(own_card: Callable[..., Card]) -> None:
    with pytest.raises(UnbakeError, match=r"jobs\[0\]: Invalid enum value 'cooking'"):
        own_card("cook", more='jobs = ["cooking"]')


def test_what_ran_here_is_told_with_its_speed(own_card: Callable[..., Card]) -> None:
    card = own_card()
    version = registry.network_version(card)
    learnt.remember(version, "cpu, torch 2", "fp32", learnt.Finding(1.5, tried_factor=1.5))
    learnt.remember(version, "cpu, torch 2", "bf16", learnt.Finding(2.5, -50.0, tried_factor=2.5))
    (found,) = (model for model in models.listing().models if model.name == "mine")
    assert found.speeds == (models.Speed("cpu, torch 2", "fp32", 1.5),), "bf16 is too far off to be taken"
    learnt.remember(version, "cpu, torch 2", "bf16", learnt.Finding(difference_db=-70.0))
    (found,) = (model for model in models.listing().models if model.name == "mine")
    assert found.speeds == (models.Speed("cpu, torch 2", "bf16", 2.5),)
    assert not found.installed
    assert found.bytes == card.weights[0].bytes


# ---- fetching


def test_a_plan_says_what_would_come_and_under_which_licence(served: Card, site: Site) -> None:
    plan = models.plan("mine")
    (missing,) = plan.missing
    assert (plan.licence, plan.source) == (served.licence, served.source)
    assert missing == models.Missing(served.weights[0].url, served.weights[0].bytes, 0)
    assert plan.bytes == served.weights[0].bytes
    assert plan.folder == str(places.home() / "weights")
    assert site.requests == []


def test_a_model_is_fetched_through_the_mirror_of_the_settings(served: Card, site: Site) -> None:
    fetched = finish(models.fetch("mine"))
    assert fetched.files == (str(served.weights[0].path()),)
    assert fetched.bytes == served.weights[0].bytes
    assert registry.is_installed(served)
    assert models.plan("mine").missing == ()
    again = finish(models.fetch("mine"))
    assert again.files == ()
    assert len(site.requests) == 1


def test_a_plan_counts_what_an_earlier_fetch_has_left(served: Card, site: Site) -> None:
    site.pages["/mine.ckpt"].go_on = threading.Event()
    site.pages["/mine.ckpt"].block = 500
    operation = models.fetch("mine")
    while not (isinstance(event := next(operation), Progress) and event.done == 500):
        pass
    operation.close()
    (missing,) = models.plan("mine").missing
    assert missing.bytes_here == 500
    assert models.plan("mine").bytes == served.weights[0].bytes - 500


def test_settings_that_are_wrong_are_said_before_anything_is_fetched(served: Card, site: Site) -> None:
    settings.path().write_text("[models]\nmirors = 1\n", encoding="utf-8")
    with pytest.raises(UnbakeError, match=r"models.mirors: no such setting") as caught:
        finish(models.fetch("mine"))
    assert caught.value.where == str(settings.path())
    assert site.requests == []


def test_weights_of_a_package_are_not_fetched_but_checked() -> None:
    assert models.plan("starter").missing == ()
    assert finish(models.fetch("starter")).files == ()


# ---- adding


@pytest.mark.parametrize("file_format", ["torch", "safetensors"])
def test_a_checkpoint_with_its_configuration_becomes_a_model(
    tiny: None, tmp_path: Path, config: Path, file_format: str
) -> None:
    path = tmp_path / "My Voices (v2).bin"
    if file_format == "torch":
        torch.save({"state_dict": models_tiny.tensors(), "epoch": 3}, path)
    else:
        save_file(models_tiny.tensors(), path)
    added = finish(adding.add(path, config=config, architecture="tiny"))
    assert added.name == "my-voices-v2"
    card = registry.find("my-voices-v2")
    assert added.card == str(places.home() / "cards" / "my-voices-v2.toml")
    assert (card.stems, card.chunk, card.config) == (
        ("vocals",),
        4410,
        {"dim": 4, "gain": 2.0, "n_fft": 32, "dropout": 0.1},
    )
    (item,) = card.weights
    assert item.format == file_format
    assert item.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert Path(added.weights).read_bytes() == path.read_bytes()
    assert card.licence == "none stated"
    path.unlink()
    assert registry.is_installed(card)
    network = registry.load(card)
    given = torch.ones(1, 2, 4410)
    assert torch.allclose(network(given), 2.0 * torch.ones(1, 1, 2, 4410))


def test_own_models_move_with_their_folder(
    tiny: None, checkpoint: Path, config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    finish(adding.add(checkpoint, config=config, architecture="tiny", name="mine"))
    places.home().rename(tmp_path / "moved")
    monkeypatch.setenv("UNBAKE_HOME", str(tmp_path / "moved"))
    assert registry.is_installed(registry.find("mine"))


def test_a_link_leaves_the_file_where_it_lies(tiny: None, checkpoint: Path, config: Path) -> None:
    added = finish(adding.add(checkpoint, config=config, architecture="tiny", name="mine", link=True))
    assert Path(added.weights).is_symlink()
    assert Path(added.weights).resolve() == checkpoint
    models.remove("mine", card=True)
    assert checkpoint.exists()


def test_a_file_that_was_brought_by_hand_goes_to_its_card(own_card: Callable[..., Card], checkpoint: Path) -> None:
    card = own_card()
    added = finish(adding.add(checkpoint, card="mine"))
    assert added.card is None
    assert registry.is_installed(card)


def test_a_card_of_one_s_own_gets_the_file_s_hash(tiny: None, checkpoint: Path, tmp_path: Path) -> None:
    written = tmp_path / "card.toml"
    written.write_text(
        'name = "own"\narchitecture = "tiny"\nstems = ["vocals"]\nsample_rate = 44100\nchunk = 4410\nabout = "Mine."\n'
        'licence = "mine"\nsource = "here"\n[config]\ndim = 2\n',
        encoding="utf-8",
    )
    finish(adding.add(checkpoint, card=str(written)))
    card = registry.find("own")
    assert card.weights[0].sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert card.licence == "mine"
    assert registry.is_installed(card)


def test_the_first_tensor_that_does_not_fit_is_named(tiny: None, tmp_path: Path, config: Path) -> None:
    path = tmp_path / "two.ckpt"
    torch.save(models_tiny.tensors(stems=2), path)
    with pytest.raises(UnbakeError, match=r"tensor mix.bias is \(4,\) in the weights and \(2,\) in the network"):
        finish(adding.add(path, config=config, architecture="tiny"))
    torch.save({"mix.weight": torch.zeros(2, 2, 1)}, path)
    with pytest.raises(UnbakeError, match=r"tensor mix.bias is missing in the weights and \(2,\) in the network"):
        finish(adding.add(path, config=config, architecture="tiny"))
    assert not (places.home() / "cards").exists()
    assert not (places.home() / "weights").exists()


def test_a_configuration_that_is_not_the_network_s_is_named(tiny: None, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(CONFIG.replace("dim: 4", "dims: 4"), encoding="utf-8")
    with pytest.raises(
        UnbakeError, match=r"config: Object (missing required field `dim`|contains unknown field `dims`)"
    ):
        finish(adding.add(checkpoint, config=path, architecture="tiny"))


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_a_file_that_would_run_code_is_refused_with_the_reason(tiny: None, tmp_path: Path, config: Path) -> None:
    path, marker = tmp_path / "bomb.ckpt", tmp_path / "was-here"
    torch.save({"mix.weight": Bomb(marker)}, path)
    with pytest.raises(UnbakeError, match=r"these weights would run code: they ask for .*getattr|pathlib"):
        finish(adding.add(path, config=config, architecture="tiny"))
    assert not marker.exists()
    assert not places.home().exists()


def test_what_is_not_the_card_s_file_is_refused(own_card: Callable[..., Card], tmp_path: Path) -> None:
    own_card()
    path = tmp_path / "other.ckpt"
    torch.save(models_tiny.tensors(value=0.1), path)
    with pytest.raises(UnbakeError, match="is none of the files of model mine: its SHA-256 is"):
        finish(adding.add(path, card="mine"))


@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_what_is_no_checkpoint_is_refused(tiny: None, tmp_path: Path, config: Path, content: bytes) -> None:
    path = tmp_path / "empty.ckpt"
    path.write_bytes(content)
    with pytest.raises(UnbakeError, match=r"is empty|not a readable file of weights"):
        finish(adding.add(path, config=config, architecture="tiny"))


def test_a_name_that_is_taken_is_kept(own_card: Callable[..., Card], tmp_path: Path, config: Path) -> None:
    own_card("starter-two")
    path = tmp_path / "starter-two.ckpt"
    torch.save(models_tiny.tensors(value=0.1), path)
    with pytest.raises(UnbakeError, match="there is a model of this name"):
        finish(adding.add(path, config=config, architecture="tiny", name="starter-two"))
    for name, kind in (("starter", "a model that ships with unbake"), ("voice-duo", "an ensemble")):
        for force in (False, True):
            with pytest.raises(UnbakeError, match=f"is the name of {kind}"):
                finish(adding.add(path, config=config, architecture="tiny", name=name, force=force))
    finish(adding.add(path, config=config, architecture="tiny", force=True))
    assert registry.find("starter-two").weights[0].url.startswith("file:weights/")
    with pytest.raises(UnbakeError, match="a model's name is made of"):
        finish(adding.add(path, config=config, architecture="tiny", name="Ein Name"))


def test_added_twice_is_added_once(tiny: None, checkpoint: Path, config: Path) -> None:
    first = finish(adding.add(checkpoint, config=config, architecture="tiny", name="mine"))
    assert finish(adding.add(checkpoint, config=config, architecture="tiny", name="mine")) == first


def test_without_card_and_configuration_nothing_can_be_made(tiny: None, checkpoint: Path, config: Path) -> None:
    with pytest.raises(UnbakeError, match=r"does not say what network it is of.*--config"):
        finish(adding.add(checkpoint))
    with pytest.raises(UnbakeError, match="a card or a configuration, not both"):
        finish(adding.add(checkpoint, card="mine", config=config))


# ---- trying


def test_a_model_is_tried_and_its_speed_remembered(own_card: Callable[..., Card], checkpoint: Path) -> None:
    card = own_card()
    finish(adding.add(checkpoint, card="mine"))
    checked = finish(models.check(("mine",), "cpu"))
    assert checked.passed
    (tried,) = checked.models
    assert [each.precision for each in tried.trials] == list(trial.CPU_PRECISIONS)
    single, *coarser = tried.trials
    assert single.difference_db is None
    assert all(each.difference_db is not None and each.difference_db < -20.0 for each in coarser)
    for each in tried.trials:
        assert each.realtime_factor == pytest.approx(card.chunk / card.sample_rate / each.seconds)
    known = learnt.known(registry.network_version(card), tried.device)
    assert known["fp32"].realtime_factor == single.realtime_factor


def test_installed_models_are_tried_when_none_is_named(own_card: Callable[..., Card], monkeypatch) -> None:
    own_card()
    asked = []

    def try_out(card: Card, device: str):
        asked.append((card.name, device))
        yield Progress("trying", 0, 1)
        return "cpu", ()

    monkeypatch.setattr(models, "try_out", try_out)
    assert finish(models.check()).passed
    assert {("spleeter-2stems", "auto"), ("starter", "auto")} <= set(asked)
    assert "mine" not in {name for name, _ in asked}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_not_taken_in(tiny: None, tmp_path: Path, config: Path, value: float) -> None:
    path = tmp_path / "bad.ckpt"
    torch.save(models_tiny.tensors(value=value), path)
    with pytest.raises(UnbakeError, match="holds values that are no numbers"):
        finish(adding.add(path, config=config, architecture="tiny"))


def test_a_network_that_gives_no_numbers_fails_and_the_others_are_tried(
    tiny: None, tmp_path: Path, config: Path, checkpoint: Path
) -> None:
    path = tmp_path / "bad.ckpt"
    torch.save(models_tiny.tensors(value=3e38), path)
    finish(adding.add(path, config=config, architecture="tiny"))
    finish(adding.add(checkpoint, config=config, architecture="tiny", name="good"))
    checked = finish(models.check(("bad", "good"), "cpu"))
    assert not checked.passed
    bad, good = checked.models
    assert "values that are no numbers" in str(bad.problem)
    assert good.problem is None


def test_weights_that_rotted_fail_the_check(own_card: Callable[..., Card], checkpoint: Path) -> None:
    card = own_card()
    finish(adding.add(checkpoint, card="mine"))
    path = card.weights[0].path()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    (tried,) = finish(models.check(("mine",), "cpu")).models
    assert "corrupt: their SHA-256 is not the card's" in str(tried.problem)


def test_a_network_of_another_shape_fails_the_check(tiny: None, checkpoint: Path, config: Path, monkeypatch) -> None:
    finish(adding.add(checkpoint, config=config, architecture="tiny", name="mine"))
    monkeypatch.setattr(models_tiny.Tiny, "forward", lambda self, x: self.mix(x))
    (tried,) = finish(models.check(("mine",), "cpu")).models
    assert "the network gave the shape [1, 2, 4410] for 1 stems of [2, 4410]" in str(tried.problem)


def test_a_coarser_precision_that_fails_is_noted_only(tiny: None, checkpoint: Path, config: Path, monkeypatch) -> None:
    finish(adding.add(checkpoint, config=config, architecture="tiny", name="mine"))
    forward = models_tiny.Tiny.forward

    def failing(self, x):
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("no such kernel\nat line 3")
        return forward(self, x)

    monkeypatch.setattr(models_tiny.Tiny, "forward", failing)
    operation, notes = models.check(("mine",), "cpu"), []
    while True:
        try:
            event = next(operation)
        except StopIteration as stop:
            checked = stop.value
            break
        if isinstance(event, Note):
            notes.append(event.text)
    assert checked.passed
    assert [each.precision for each in checked.models[0].trials] == ["fp32"]
    assert notes == ["mine in bf16: the network failed: no such kernel"]


def test_the_sound_of_a_trial_is_loud_and_silent_and_always_the_same() -> None:
    sound = trial.sound(44_100, 44_100)
    assert sound.dtype == np.float32
    assert sound.shape == (2, 44_100)
    assert 0.1 < np.abs(sound).max() < 1.0
    assert not sound[:, -11_025:].any()
    np.testing.assert_array_equal(sound, trial.sound(44_100, 44_100))


# ---- removing


def test_weights_are_removed_and_the_card_stays(served: Card) -> None:
    finish(models.fetch("mine"))
    path = served.weights[0].path()
    removed = models.remove("mine")
    assert removed.files == (str(path),)
    assert removed.bytes == served.weights[0].bytes
    assert not path.exists()
    assert registry.find("mine") == served
    with pytest.raises(UnbakeError, match="model mine: none of its weights are here"):
        models.remove("mine")


def test_a_half_fetched_file_is_removed_too(served: Card, site: Site) -> None:
    site.pages["/mine.ckpt"] = Page(site.pages["/mine.ckpt"].data, go_on=threading.Event(), block=100)
    operation = models.fetch("mine")
    while not (isinstance(event := next(operation), Progress) and event.done == 100):
        pass
    operation.close()
    assert models.remove("mine").bytes == 100
    assert not list((places.home() / "weights").iterdir())


def test_what_another_model_uses_stays(own_card: Callable[..., Card], checkpoint: Path) -> None:
    card = own_card("one")
    own_card("two")
    finish(adding.add(checkpoint, card="one"))
    removed = models.remove("one", card=True)
    assert removed.kept == (f"{card.weights[0].path()} (used by two)",)
    assert removed.files == (str(places.home() / "cards" / "one.toml"),)
    assert "one" not in registry.cards()
    assert registry.is_installed(registry.find("two"))


def test_built_in_cards_and_packages_are_not_removed() -> None:
    with pytest.raises(UnbakeError, match="its weights come with an installed package"):
        models.remove("starter")
    with pytest.raises(UnbakeError, match="its card is built in"):
        models.remove("starter", card=True)
