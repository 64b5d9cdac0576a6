from pathlib import Path

import pytest
import torch

from core.separation import learnt
from core.separation.device import describe_device
from core.separation.learnt import Finding


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNBAKE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_what_is_found_out_is_added_to_what_is_known():
    learnt.remember("net-1", "gpu", "bf16", Finding(realtime_factor=3.0))
    learnt.remember("net-1", "gpu", "bf16", Finding(difference_db=-63.0))
    learnt.remember("net-1", "gpu", "fp32", Finding(batch=8))
    learnt.remember("net-1", "cpu", "fp32", Finding(realtime_factor=0.5))
    assert learnt.known("net-1", "gpu") == {"bf16": Finding(3.0, -63.0), "fp32": Finding(batch=8)}
    assert learnt.known("net-2", "gpu") == {}
    assert learnt.known("net-1", "cpu") == {"fp32": Finding(0.5)}


def tried(factor: float, difference_db: float | None = None) -> Finding:
    """What a trial remembers."""
    return Finding(factor, difference_db, tried_factor=factor)


def test_what_a_busy_machine_measures_later_does_not_choose():
    learnt.remember("net-1", "cpu", "fp32", tried(2.0))
    learnt.remember("net-1", "cpu", "bf16", tried(4.0, -65.0))
    learnt.remember("net-1", "cpu", "bf16", Finding(realtime_factor=0.3))
    assert learnt.best_precision("net-1", "cpu") == "bf16"
    assert learnt.known("net-1", "cpu")["bf16"].realtime_factor == 0.3


@pytest.mark.parametrize(
    ("findings", "best"),
    [
        ({}, "fp32"),
        ({"fp32": tried(2.0), "bf16": tried(4.0, -61.0)}, "bf16"),
        ({"fp32": tried(2.0), "bf16": tried(4.0, -59.0)}, "fp32"),
        ({"fp32": tried(2.0), "bf16": tried(4.0)}, "fp32"),
        ({"fp32": tried(2.0), "bf16": tried(2.2, -80.0)}, "fp32"),
        ({"fp32": tried(2.0), "bf16": Finding(9.0, -80.0)}, "fp32"),
        ({"fp32": tried(5.0), "bf16": tried(4.0, -80.0)}, "fp32"),
        ({"fp32": tried(2.0), "bf16": tried(4.0, -61.0), "fp16": tried(4.5, -70.0)}, "fp16"),
    ],
)
def test_a_reduced_precision_has_to_be_verified_and_faster(findings: dict[str, Finding], best: str):
    for precision, finding in findings.items():
        learnt.remember("net-1", "cpu", precision, finding)
    assert learnt.best_precision("net-1", "cpu") == best


def test_auto_is_what_is_best_for_all_networks():
    assert learnt.settle("fp16", "cpu", ["net-1"]) == "fp16"
    assert learnt.settle("auto", "cpu", ["net-1"]) == "fp32"
    hardware = describe_device("cpu")
    for version in ("net-1", "net-2"):
        learnt.remember(version, hardware, "fp32", tried(1.0))
        learnt.remember(version, hardware, "bf16", tried(2.0, -65.0))
    assert learnt.settle("auto", "cpu", ["net-1", "net-2"]) == "bf16"
    assert learnt.settle("auto", "cpu", ["net-1", "net-3"]) == "fp32"
    learnt.remember("net-2", hardware, "fp16", tried(3.0, -70.0))
    assert learnt.settle("auto", "cpu", ["net-1", "net-2"]) == "fp32"
    assert torch.__version__ in hardware


def test_auto_asks_torch_nothing_where_the_device_is_left_open_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learnt, "resolve_device", lambda name: pytest.fail("asked torch"))
    learnt.remember("net-1", "cpu, torch 2", "fp32", tried(1.0))
    learnt.remember("net-1", "cpu, torch 2", "bf16", tried(2.0, -65.0))
    assert learnt.settle("auto", "auto", ["net-1"]) == "fp32", "nobody knows what device that is"
    learnt.remember("net-2", "cpu, torch 2", "fp32", tried(1.0), auto=True)
    assert learnt.settle("auto", "auto", ["net-1"]) == "bf16"
    learnt.remember("net-2", "gpu", "fp32", tried(9.0))
    assert learnt.settle("auto", "auto", ["net-1"]) == "bf16", "a device asked for by name is not what auto takes"
    assert learnt.settle("auto", "auto", ["net-1", "net-2"]) == "fp32"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"format": 99}', b"[]"])
def test_a_damaged_file_is_as_none(home: Path, content: bytes):
    home.mkdir()
    learnt.path().write_bytes(content)
    assert learnt.known("net-1", "cpu") == {}
    learnt.remember("net-1", "cpu", "fp32", Finding(1.0))
    assert learnt.known("net-1", "cpu") == {"fp32": Finding(1.0)}


def test_a_home_that_cannot_be_written_is_no_matter(home: Path):
    home.write_text("a file")
    learnt.remember("net-1", "cpu", "fp32", Finding(1.0))
    assert learnt.known("net-1", "cpu") == {}
