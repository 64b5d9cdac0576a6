"""The models panel under a pilot: nothing comes over the network without a yes to size and licence."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator

import pytest

from core import places
from core.separation import learnt
from models import fetch, registry
from models.registry import Card
from tests.models.models_site import Page, Site, serving
from tui.panels.ask import Ask
from tui.panels.models import ModelsPanel

DATA = random.Random(4).randbytes(50_000)
CARD = f"""
name = "a-mine"
architecture = "spleeter"
stems = ["vocals", "accompaniment"]
sample_rate = 44100
chunk = 523264
about = "A test."
licence = "CC-BY-NC-4.0"
source = "nobody"
jobs = ["denoise"]

[weights]
url = "https://weights.example/mine.ckpt"
sha256 = "{hashlib.sha256(DATA).hexdigest()}"
bytes = {len(DATA)}
format = "torch"

[[scores]]
metric = "SDR"
test_set = "an exam"
source = "a paper"
values = {{ vocals = 7.5 }}
"""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that has the weights, by a mirror in the settings."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as found:
        found.pages["/mine.ckpt"] = Page(DATA)
        (places.home() / "cards").mkdir(parents=True)
        (places.home() / "cards" / "a-mine.toml").write_text(CARD, encoding="utf-8")
        settings = f"[models.mirrors]\n'https://weights.example/' = '{found.url}'\n"
        (places.home() / "config.toml").write_text(settings, encoding="utf-8")
        yield found


@pytest.fixture
def card(site: Site) -> Card:
    """A model whose weights the server has."""
    return registry.find("a-mine")


async def ask(driver) -> None:
    """Opens the panel, goes to the model, and presses Enter on it."""
    await driver.press("M")
    assert isinstance(driver.app.screen, ModelsPanel)
    await driver.press("slash", *"a-mine", "enter")
    await driver.press("enter")
    await driver.until(lambda: isinstance(driver.app.screen, Ask), "the question")


async def test_a_model_is_fetched_after_a_yes_to_its_size_and_licence(workstation, card: Card, site: Site) -> None:
    async with workstation(None, size=(130, 40)) as driver:
        await ask(driver)
        for words in ("Fetch a-mine? 50.0 kB from weights.example", "licence: CC-BY-NC-4.0", "source: nobody"):
            assert words in driver.text()
        assert site.requests == []
        await driver.press("escape")
        assert site.requests == []
        assert "not here" in driver.text()
        for words in ("a recording without hiss", "vocals 7.5 dB, test set an exam (a paper)"):
            assert words in driver.text()
        await driver.press("enter")
        await driver.until(lambda: isinstance(driver.app.screen, Ask), "the question")
        await driver.press("f")
        await driver.until(lambda: "a-mine is here" in driver.notices(), "the weights")
        assert registry.is_installed(card)
        assert "installed" in next(line for line in driver.text().splitlines() if "a-mine" in line and "kB" in line)
        await driver.press("enter")
        await driver.until(lambda: "All weights of a-mine are here." in driver.text(), "the question")
        assert len(site.requests) == 1
        await driver.press("t")
        await driver.until(lambda: "a-mine: " in driver.notices(), "what was found of noise for weights", 60.0)


async def test_a_model_that_is_here_is_tried_out(workstation) -> None:
    async with workstation(None, size=(130, 40)) as driver:
        await driver.press("M", "slash", *"spleeter-2stems", "enter", "enter")
        await driver.until(lambda: isinstance(driver.app.screen, Ask), "the question")
        await driver.press("t")
        await driver.until(lambda: "spleeter-2stems: right; fp32" in driver.notices(), "what was found", 120.0)
        assert "bf16" in driver.notices()
        await driver.until(lambda: "x here" in driver.text(), "the speed in the card")
        assert learnt.load().auto.startswith("cpu")


async def test_what_is_fetched_goes_on_under_a_closed_panel_and_can_be_stopped(
    workstation, card: Card, site: Site
) -> None:
    page = site.pages["/mine.ckpt"]
    page.go_on = threading.Event()
    async with workstation(None, size=(130, 40)) as driver:
        await ask(driver)
        await driver.press("f")
        await driver.until(lambda: "coming 16%" in driver.text(), "the first block")
        await driver.press("d")
        await driver.until(lambda: "stop that first" in driver.notices(), "the refusal")
        await driver.press("escape")
        await driver.until(lambda: "fetching a-mine" in driver.text(), "the jobs line")
        assert "16%" in driver.text()
        await driver.press("M", "slash", *"a-mine", "enter", "enter")
        await driver.until(lambda: "Stop fetching a-mine?" in driver.text(), "the question")
        await driver.press("s")
        await driver.until(lambda: "what has arrived of a-mine is kept" in driver.notices(), "the end")
        assert "not here" in driver.text()
        assert fetch.arrived(card.weights[0].path()) == page.block
        page.go_on = None
        await driver.press("enter")
        await driver.until(lambda: "(8.2 kB of it here already)" in driver.text(), "the question")
        await driver.press("f")
        await driver.until(lambda: "a-mine is here" in driver.notices(), "the weights")
        assert site.ranges == [None, f"bytes={page.block}-"]


async def test_a_fetch_that_fails_says_why(workstation, card: Card, site: Site) -> None:
    site.pages.clear()
    async with workstation(None, size=(130, 40)) as driver:
        await ask(driver)
        await driver.press("f")
        await driver.until(lambda: "the file is not there any more (404 Not Found)" in driver.notices(), "the notice")
        await driver.until(lambda: "not here" in driver.text(), "the state")


async def test_weights_are_removed_after_a_yes(workstation, card: Card) -> None:
    path = card.weights[0].path()
    path.parent.mkdir()
    path.write_bytes(DATA)
    async with workstation(None, size=(130, 40)) as driver:
        await driver.press("M", "slash", *"a-mine", "enter", "d")
        await driver.until(lambda: "Remove the weights of a-mine?" in driver.text(), "the question")
        await driver.press("escape")
        assert path.exists()
        await driver.press("d")
        await driver.until(lambda: isinstance(driver.app.screen, Ask), "the question")
        await driver.press("r")
        await driver.until(lambda: "50.0 kB freed" in driver.notices(), "the word")
        assert not path.exists()
        assert "not here" in driver.text()
        await driver.press("d")
        await driver.until(lambda: isinstance(driver.app.screen, Ask), "the question")
        await driver.press("r")
        await driver.until(lambda: "none of its weights are here" in driver.notices(), "the refusal")


async def test_a_card_that_can_t_be_read_stands_in_the_list(workstation, card: Card) -> None:
    (places.home() / "cards" / "bad.toml").write_text("name = 3", encoding="utf-8")
    async with workstation(None, size=(130, 40)) as driver:
        await driver.press("M", "end")
        assert "bad.toml" in driver.text()


async def test_an_ensemble_is_fetched_by_its_models(workstation, card: Card, site: Site) -> None:
    folder = places.home() / "ensembles"
    folder.mkdir(parents=True, exist_ok=True)
    text = 'name = "z-both"\nabout = "Both."\n[[take]]\nstem = "vocals"\n[[take.from]]\nmodel = "a-mine"\n'
    (folder / "z-both.toml").write_text(text + '[[take.from]]\nmodel = "starter"\n', encoding="utf-8")
    async with workstation(None, size=(130, 40)) as driver:
        await driver.press("M", "slash", *"z-both", "enter")
        for words in ("2 models", "a-mine, starter", "filters, not from a trained network"):
            assert words in driver.text()
        await driver.press("d")
        assert "remove those of its models" in driver.notices()
        await driver.press("enter")
        await driver.until(lambda: isinstance(driver.app.screen, Ask), "the question")
        assert "Fetch a-mine?" in driver.text()
        assert "Fetch starter?" not in driver.text()
        await driver.press("f")
        await driver.until(lambda: "a-mine is here" in driver.notices(), "the weights")
        assert "installed" in next(line for line in driver.text().splitlines() if "z-both" in line and "models" in line)
