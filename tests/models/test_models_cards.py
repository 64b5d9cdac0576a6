"""The cards that ship: each says what it is and what it is worth, and is of a network that its weights can be of."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn

from core import settings
from core.errors import UnbakeError
from models import public, registry
from models.registry import Card

CARDS = registry.cards()
COUNTED = ("bs_roformer", "mel_band_roformer", "mdx23c", "scnet", "scnet_masked", "bsrnn")
"""Architectures whose files hold the network's tensors and nothing else."""
WORDS = (*public.STEMS, "accompaniment")
CONTAINER_SHARE = 0.01
"""What a file needs beside the numbers, names above all, at most."""


def test_the_examples_of_the_docs_are_read() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    mirrors, card = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert settings.mirrors(tomllib.loads(mirrors))["https://github.com/"][-1] == "https://github.com/"
    table = tomllib.loads(card)
    example = msgspec.convert({**table, "weights": [table["weights"]]}, Card)
    assert example.weights == registry.find(example.name).weights


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_a_card_says_what_it_is_and_where_its_weights_are_from(card: Card) -> None:
    assert card.about.endswith(".")
    assert card.licence
    assert card.source
    assert card.weights
    assert set(card.stems) <= set(WORDS)
    assert all(item.url.startswith(("https://", "package:")) for item in card.weights)
    for score in card.scores:
        assert score.metric
        assert score.test_set
        assert score.source
        assert score.values
        assert set(score.values) <= {*WORDS, "mean", "residual"}


def test_there_is_one_for_every_job() -> None:
    served = {each for card in CARDS.values() for each in (*card.stems, *card.jobs)}
    assert set(registry.JOBS) <= served
    assert {
        "vocals",
        "drums",
        "bass",
        "other",
        "guitar",
        "piano",
        "instrumental",
        "lead_vocals",
        "dry",
        "clean",
    } <= served
    hashes = [item.sha256 for card in CARDS.values() for item in card.weights if item.url.startswith("https://")]
    assert len(hashes) == len(set(hashes)), "two cards for one file"


def network_of(card: Card, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """The network of a card before any tensor is put into it; none of its numbers takes memory."""
    module = importlib.import_module(registry.ARCHITECTURES[card.architecture].module)
    made: list[nn.Module] = []

    class FilledError(Exception):
        pass

    def fill(network: nn.Module, *_: object, **_options: object) -> None:
        made.append(network)
        raise FilledError

    monkeypatch.setattr(module, "fill", fill)
    with torch.device("meta"), pytest.raises(FilledError):
        module.build(card, [{}])
    return made[0]


@pytest.mark.parametrize(
    "card",
    [card for card in CARDS.values() if card.architecture in COUNTED],
    ids=lambda card: card.name,
)
def test_a_network_has_as_many_numbers_as_its_file_of_weights(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a mistaken parameter is noticed without the file: nearly all of them change the count."""
    numbers = sum(tensor.numel() for tensor in network_of(card, monkeypatch).state_dict().values())
    (item,) = card.weights
    sizes = [size for size in (2, 4) if 0 < item.bytes - size * numbers < CONTAINER_SHARE * item.bytes]
    assert len(sizes) == 1, f"{numbers} numbers, {item.bytes} bytes"


def test_a_wrong_parameter_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    card = registry.find("mel-roformer-kim")
    wrong = msgspec.structs.replace(card, config={**card.config, "depth": 7})
    with pytest.raises(AssertionError, match="numbers"):
        test_a_network_has_as_many_numbers_as_its_file_of_weights(wrong, monkeypatch)
    unknown = msgspec.structs.replace(card, config={**card.config, "dept": 6})
    with pytest.raises(UnbakeError, match="config: Object contains unknown field `dept`"):
        network_of(unknown, monkeypatch)
