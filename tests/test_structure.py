"""Promises about the program as a whole: what start-up may load, whose the package names are, what ships."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

HEAVY = (
    "numpy",
    "scipy",
    "torch",
    "soundfile",
    "av",
    "numba",
    "soxr",
    "mutagen",
    "textual",
    "rich",
    "msgspec",
    "pedalboard",
)


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n' + ' '.join(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_nothing_but_the_standard_library() -> None:
    code = "from tui.cli.parser import build\nbuild().format_help()\nimport tui.__main__"
    found = loaded_after(code)
    assert found.isdisjoint(HEAVY), found & set(HEAVY)
    assert "tui" in found


@pytest.mark.parametrize(
    "module",
    [
        "core.session.history",
        "core.session.presets",
        "core.recombine.render",
        "core.measure.null",
        "core.separation.store",
        "core.jobs.repair",
        "models.registry",
        "tui.cli.commands.store",
    ],
)
def test_torch_is_not_loaded_before_a_network_runs(module: str) -> None:
    assert "torch" not in loaded_after(f"import {module}")


def test_no_other_distribution_supplies_a_package_of_ours() -> None:
    suppliers = metadata.packages_distributions()
    for package in ("core", "tui", "models", "presets"):
        owners = {name for name in suppliers.get(package, ()) if name != "unbake"}
        assert not owners, f"{package} is also supplied by {owners}"


def test_a_foreign_supplier_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"core": ["unbake", "intruder"]})
    with pytest.raises(AssertionError, match="intruder"):
        test_no_other_distribution_supplies_a_package_of_ours()
