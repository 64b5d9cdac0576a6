"""The registry: every action has a method and a pilot test, no key is taken twice, nothing needs Ctrl or Alt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import test_tui_blind  # noqa: F401 - what it covers is noted by its import
import test_tui_cleanup  # noqa: F401 - as above
import test_tui_desk
import test_tui_diagnosis  # noqa: F401 - as above
import test_tui_listening  # noqa: F401 - as above
import test_tui_null  # noqa: F401 - as above
import test_tui_panels
import test_tui_warp  # noqa: F401 - as above

from tui import actions
from tui.desk.screen import Desk
from tui.panels.blind import BlindPanel
from tui.panels.cleanup import CleanupPanel
from tui.panels.diagnosis import DiagnosisPanel
from tui.panels.form import Form
from tui.panels.instrument import Instrument
from tui.panels.models import ModelsPanel
from tui.panels.null import NullPanel
from tui.panels.panel import Panel
from tui.panels.presets import PresetsPanel
from tui.panels.store import StorePanel
from tui.panels.warp import WarpPanel

LISTS = (Panel, DiagnosisPanel, ModelsPanel, PresetsPanel, StorePanel)
NULLS = (Instrument, NullPanel)
HOMES = {
    "desk": (Desk,), "list": LISTS, "form": (Form,), "blind": (BlindPanel,), "null": NULLS, "warp": (WarpPanel,),
    "cleanup": (CleanupPanel,),
}  # fmt: skip
DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "keys.md"


@pytest.mark.parametrize("action", actions.ACTIONS, ids=lambda action: action.id)
def test_every_action_is_carried_out_by_a_screen(action: actions.Action) -> None:
    assert any(hasattr(home, f"action_{action.method}") for home in HOMES[action.where])


def test_every_action_has_a_pilot_test() -> None:
    tested = {*test_tui_desk.COVERED, *test_tui_panels.COVERED}
    assert tested == {action.id for action in actions.ACTIONS}


def test_no_key_is_taken_twice() -> None:
    assert actions.clashing({}) == []


def test_a_null_panel_has_the_keys_of_a_list_as_well() -> None:
    clash = actions.clashing({"null.toggle": ("j",)})
    assert clash == [("j", actions.by_id("list.next"), actions.by_id("null.toggle"))]
    assert actions.clashing({"null.toggle": ("m",)}) == []


def test_the_first_key_of_every_action_needs_neither_ctrl_nor_alt() -> None:
    for action in actions.ACTIONS:
        assert not action.keys or not re.search("ctrl|alt", action.keys[0]), action.id


def test_every_key_can_be_shown() -> None:
    for action in actions.ACTIONS:
        for key in action.keys:
            assert len(actions.shown(key)) == 1 or key in actions.DISPLAY, key


def test_the_key_table_in_the_docs_is_the_registry() -> None:
    assert actions.key_table() in DOCS.read_text()


def test_ids_are_unique() -> None:
    ids = [action.id for action in actions.ACTIONS]
    assert len(ids) == len(set(ids))
