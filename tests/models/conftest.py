"""A web server of the tests' own, and a network so small that a card of it can be fetched, added and tried at once."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

import models_tiny
from models_site import Page, Site, serving

from core import places
from models import registry
from models.registry import Architecture, Card

CARD = """
name = "{name}"
architecture = "tiny"
stems = ["vocals"]
sample_rate = 44100
chunk = 4410
about = "A test."
licence = "{licence}"
source = "nobody, https://weights.example"
{more}

[config]
dim = 4

[weights]
url = "https://weights.example/{file}"
sha256 = "{sha256}"
bytes = {bytes}
format = "torch"
{scores}
"""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server on this machine, reached past any proxy of the environment."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with serving() as found:
        yield found


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the registry know the architecture `tiny`."""
    monkeypatch.setitem(registry.ARCHITECTURES, "tiny", Architecture("models_tiny", version=1))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A file of weights of the tiny network with one stem."""
    path = tmp_path / "tiny voices.ckpt"
    torch.save(models_tiny.tensors(), path)
    return path


@pytest.fixture
def own_card(tiny: None, checkpoint: Path) -> Callable[..., Card]:
    """Writes a card of the user's for the checkpoint, whose weights are elsewhere."""

    def write(
        name: str = "mine", *, licence: str = "none stated", more: str = "", scores: str = "", file: str = "mine.ckpt"
    ) -> Card:
        data = checkpoint.read_bytes()
        path = places.home() / "cards" / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        sha256 = hashlib.sha256(data).hexdigest()
        words = {"name": name, "licence": licence, "more": more, "scores": scores, "file": file}
        path.write_text(CARD.format(**words, sha256=sha256, bytes=len(data)), encoding="utf-8")
        return registry.find(name)

    return write


@pytest.fixture
def served(site: Site, own_card: Callable[..., Card], checkpoint: Path) -> Card:
    """A card whose weights the server has, by a mirror in the settings."""
    site.pages["/mine.ckpt"] = Page(checkpoint.read_bytes())
    card = own_card()
    settings = f"[models.mirrors]\n'https://weights.example/' = '{site.url}'\n"
    (places.home() / "config.toml").write_text(settings, encoding="utf-8")
    return card
