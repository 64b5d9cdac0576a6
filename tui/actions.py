"""Every action of the workstation, once: bindings, footer, help, palette and the key table in `docs/` are made from it.

Only data, and only the standard library: the first paint needs it. What an action does is the method
`action_GROUP_NAME` of the screen it belongs to; a test sees that there is one, and that a pilot test presses its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from textual.binding import Binding

Where = Literal["desk", "list", "form", "blind", "null", "warp", "cleanup"]
"""Which screens an action belongs to: the desk, panels that list, panels that are filled in, the blind test, the null
panels, which list, too, the warp editor and the clean-up bench."""


@dataclass(frozen=True)
class Action:
    """One thing that can be done. `keys` are Textual's names, the first one is shown.

    `title` is a word or two for footer and palette, `about` a sentence for the help. `panes` are the panes of the desk
    whose footer shows it (empty: none), in order of `rank`.
    """

    id: str
    keys: tuple[str, ...]
    title: str
    about: str
    group: str
    where: Where = "desk"
    panes: tuple[str, ...] = ()
    rank: int = 50

    @property
    def method(self) -> str:
        """The action's name as Textual calls it: `strip.polarity` is `strip_polarity`."""
        return self.id.replace(".", "_")


ALL = ("overview", "lanes", "chain")
"""The panes of the desk, in the order of Tab."""

ACTIONS: tuple[Action, ...] = (
    Action("time.back", ("h",), "back", "Moves the playhead one step back.", "time", panes=("overview",)),
    Action("time.forward", ("l",), "on", "Moves the playhead one step on.", "time", panes=("overview",)),
    Action("time.back_5", ("less_than_sign",), "5 s back", "Moves the playhead back by five seconds.", "time"),
    Action("time.forward_5", ("greater_than_sign",), "5 s on", "Moves the playhead on by five seconds.", "time"),
    Action("time.start", ("home",), "start", "Puts the playhead at the start of the file.", "time"),
    Action("time.end", ("end",), "end", "Puts the playhead at the end of the file.", "time"),
    Action(
        "loop.first",
        ("left_square_bracket",),
        "loop in",
        "The loop begins at the playhead.",
        "loop and markers",
        panes=("overview",),
        rank=20,
    ),
    Action(
        "loop.last",
        ("right_square_bracket",),
        "loop out",
        "The loop ends at the playhead.",
        "loop and markers",
        panes=("overview",),
        rank=21,
    ),
    Action("loop.toggle", ("backslash",), "loop", "Turns the loop on or off.", "loop and markers"),
    Action(
        "marker.set",
        ("apostrophe",),
        "marker",
        "Sets a marker at the playhead, or takes away the one there.",
        "loop and markers",
        panes=("overview",),
        rank=22,
    ),
    Action(
        "marker.previous",
        ("left_curly_bracket",),
        "marker before",
        "Goes to the marker before the playhead.",
        "loop and markers",
    ),
    Action(
        "marker.next",
        ("right_curly_bracket",),
        "marker after",
        "Goes to the marker after the playhead.",
        "loop and markers",
    ),
    Action("play.toggle", ("space",), "play", "Plays from the playhead, or stops.", "listening", panes=ALL, rank=9),
    Action("play.slower", ("J",), "slower", "Backwards, or slower: 1, 2, 4, 8 times.", "listening"),
    Action("play.stop", ("K",), "stop", "Stops the shuttle.", "listening"),
    Action("play.faster", ("L",), "faster", "Forwards, or faster: 1, 2, 4, 8 times.", "listening"),
    Action("hear.source", ("a",), "source", "Listens to the source.", "listening"),
    Action("hear.repair", ("b",), "repair", "Listens to the repair.", "listening"),
    Action("hear.difference", ("n",), "difference", "Listens to the repair less the source.", "listening"),
    Action("hear.flip", ("x",), "flip", "Flips between source and repair.", "listening"),
    Action("hear.match", ("g",), "match", "Source and repair equally loud, or as they are.", "listening"),
    Action("hear.blind", ("X",), "blind test", "Is the repair heard? ABX, with a log and a p-value.", "listening"),
    Action(
        "hear.where", ("G",), "where to listen", "Lists sound cards and the page; copies its ssh line.", "listening"
    ),
    Action("strip.solo", ("s",), "solo", "Listens to the chosen stem alone; never rendered.", "listening"),
    Action("strip.mute", ("m",), "mute", "Listens without the chosen stem; never rendered.", "listening"),
    Action("strip.all_heard", ("c",), "hear all", "No solo and no mute any more.", "listening"),
    *(
        Action(f"strip.pick_{number}", (str(number),), f"strip {number}", f"Chooses strip {number}.", "strips")
        for number in range(1, 10)
    ),
    Action("strip.master", ("0",), "master", "Chooses the master stage.", "strips"),
    Action("strip.next", ("j", "down"), "next", "The next strip; in the chain, the next row.", "strips"),
    Action("strip.previous", ("k", "up"), "previous", "The strip above; in the chain, the row above.", "strips"),
    Action(
        "strip.polarity",
        ("p",),
        "polarity",
        "Inverts the polarity of the chosen strip, or sets it right again.",
        "strips",
        panes=("lanes",),
        rank=30,
    ),
    Action(
        "strip.mode",
        ("r",),
        "mode",
        "Goes through the modes of the strip: replace, parallel, cancel.",
        "strips",
        panes=("lanes",),
        rank=31,
    ),
    Action(
        "strip.drop",
        ("underscore",),
        "drop stem",
        "Takes the chosen stem out again, where it was brought.",
        "strips",
    ),
    Action("strip.reset", ("V",), "reset strip", "Takes every change of the chosen strip away.", "strips"),
    Action(
        "chain.eq",
        ("e",),
        "EQ",
        "Goes to the first equaliser of the strip, or inserts a bell.",
        "chain",
        panes=("lanes", "chain"),
        rank=10,
    ),
    Action(
        "chain.insert",
        ("i",),
        "insert",
        "Inserts a processor after the chosen one.",
        "chain",
        panes=("lanes", "chain"),
        rank=11,
    ),
    Action("chain.delete", ("d",), "delete", "Deletes the chosen processor.", "chain", panes=("chain",), rank=12),
    Action(
        "chain.bypass",
        ("y",),
        "bypass",
        "Bypasses the chosen processor, or lets it be heard again.",
        "chain",
        panes=("chain",),
        rank=13,
    ),
    Action("chain.bypass_all", ("Y",), "bypass chain", "Bypasses the whole chain, or none of it.", "chain"),
    Action(
        "chain.up",
        ("left_parenthesis", "shift+up"),
        "move up",
        "Moves the chosen processor up the chain.",
        "chain",
        panes=("chain",),
        rank=40,
    ),
    Action(
        "chain.down",
        ("right_parenthesis", "shift+down"),
        "move down",
        "Moves the chosen processor down the chain.",
        "chain",
        panes=("chain",),
        rank=41,
    ),
    Action(
        "value.less",
        ("left",),
        "less",
        "One fine step down; on the overview, the playhead back.",
        "values",
        panes=("lanes", "chain"),
        rank=5,
    ),
    Action(
        "value.more",
        ("right",),
        "more",
        "One fine step up; on the overview, the playhead on.",
        "values",
        panes=("lanes", "chain"),
        rank=6,
    ),
    Action("value.much_less", ("comma", "shift+left"), "much less", "One coarse step down.", "values"),
    Action("value.much_more", ("semicolon", "shift+right"), "much more", "One coarse step up.", "values"),
    Action(
        "value.type",
        ("equals_sign", "enter"),
        "type",
        "Opens a field for a typed value.",
        "values",
        panes=("lanes", "chain"),
        rank=7,
    ),
    Action("value.default", ("backspace",), "default", "Puts the value back to its default.", "values"),
    Action("edit.undo", ("u",), "undo", "Goes back one edit.", "edit", panes=ALL, rank=14),
    Action("edit.redo", ("U", "ctrl+r"), "redo", "Goes forward one edit.", "edit"),
    Action("edit.repeat", ("full_stop",), "repeat", "Does the last edit again, on the strip chosen now.", "edit"),
    Action("view.pane", ("tab",), "pane", "Goes to the next pane.", "view", panes=ALL, rank=8),
    Action("view.pane_back", ("shift+tab",), "pane before", "Goes to the pane before.", "view"),
    Action(
        "view.zoom_in",
        ("plus",),
        "zoom in",
        "Shows half as much time around the playhead.",
        "view",
        panes=("overview",),
        rank=10,
    ),
    Action("view.zoom_out", ("minus",), "zoom out", "Shows twice as much time.", "view", panes=("overview",), rank=11),
    Action("view.loop", ("z",), "zoom to loop", "Shows the loop.", "view"),
    Action("view.all", ("Z",), "whole file", "Shows the whole file.", "view", panes=("overview",), rank=12),
    Action(
        "view.spectrogram",
        ("v",),
        "spectrogram",
        "Spectrogram or waveform.",
        "view",
        panes=("overview",),
        rank=13,
    ),
    Action("view.follow", ("f",), "follow", "Keeps the playhead in view when it moves, or not.", "view"),
    Action("panel.separate", ("S",), "separate", "Chooses a model and makes the stems.", "panels", panes=ALL, rank=70),
    Action(
        "panel.presets",
        ("P",),
        "presets",
        "Lists the presets, measures what one leaves open, shows what it would change, applies or saves one.",
        "panels",
        panes=ALL,
        rank=71,
    ),
    Action(
        "panel.diagnosis",
        ("D",),
        "diagnosis",
        "Measures what is wrong with master and stems, and proposes presets that treat it.",
        "panels",
        panes=ALL,
        rank=71,
    ),
    Action(
        "panel.null",
        ("N",),
        "null",
        "Shows what the repair changes: spectrum, course, worst place, of every strip too; and the rendered file.",
        "panels",
        panes=ALL,
        rank=72,
    ),
    Action(
        "panel.warp",
        ("T",),
        "warp",
        "Tempo and time map: beats, anchors, a grid, taps; and how it sounds.",
        "panels",
    ),
    Action(
        "panel.cleanup",
        ("C",),
        "clean-up",
        "The clean-up bench: what is wrong with source or stem, the steps that take it out, and what they take away.",
        "panels",
    ),
    Action("panel.history", ("H",), "history", "Lists every edit of this session, and goes to any.", "panels"),
    Action(
        "panel.models",
        ("M",),
        "models",
        "Lists the networks: installed or not, licence, size, scores; fetches and removes their weights.",
        "panels",
    ),
    Action("panel.info", ("I",), "file", "Shows what the file is, its loudness and its faults.", "panels"),
    Action("panel.store", ("B",), "stem store", "Lists what the stem store holds, and makes room.", "panels"),
    Action("panel.doctor", ("exclamation_mark",), "doctor", "Shows what this machine has and lacks.", "panels"),
    Action("file.open", ("o",), "open", "Opens a master or a session.", "file", panes=ALL, rank=80),
    Action("file.save", ("W",), "save", "Writes the session beside its source.", "file", panes=ALL, rank=74),
    Action("file.render", ("R",), "render", "Renders the repaired master, with its proof.", "file", panes=ALL, rank=16),
    Action("file.export", ("E",), "export stems", "Writes stems and residual as WAV into a folder.", "file"),
    Action("file.compare", ("A",), "compare files", "Null test of the source against another file.", "file"),
    Action(
        "file.bring",
        ("ampersand",),
        "bring stem",
        "Brings a stem of your own: finds it in the master, and subtracts it there.",
        "file",
    ),
    Action("file.demo", ("O",), "demo", "Does the main job on a song that is already here, and opens it.", "file"),
    Action("job.cancel", ("escape",), "stop job", "Stops what runs, after asking; what is done so far is kept.", "app"),
    Action("app.help", ("question_mark",), "help", "Shows every key.", "app", panes=ALL, rank=99),
    Action(
        "app.palette",
        ("colon",),
        "palette",
        "Finds an action by its name, or takes PATH=VALUE.",
        "app",
        panes=ALL,
        rank=98,
    ),
    Action("app.theme", ("F",), "theme", "Goes through the themes: dark, light, high contrast.", "app"),
    Action("app.leave", ("q",), "quit", "Leaves; asks when the session is not saved.", "app"),
    Action("list.next", ("j", "down"), "next", "The next line.", "lists", where="list"),
    Action("list.previous", ("k", "up"), "previous", "The line above.", "lists", where="list"),
    Action("list.first", ("home", "g"), "first", "The first line.", "lists", where="list"),
    Action("list.last", ("end", "G"), "last", "The last line.", "lists", where="list"),
    Action("list.page_down", ("pagedown",), "page on", "A page on.", "lists", where="list"),
    Action("list.page_up", ("pageup",), "page back", "A page back.", "lists", where="list"),
    Action("list.choose", ("enter",), "choose", "Does what the panel is for.", "lists", where="list"),
    Action("list.filter", ("slash",), "filter", "Words that a line must hold to be shown.", "lists", where="list"),
    Action(
        "list.own",
        ("w",),
        "save own",
        "Presets: saves the present strips as a preset of one's own.",
        "lists",
        where="list",
    ),
    Action(
        "list.place",
        ("t",),
        "go there",
        "Diagnosis: puts the playhead where the finding is at its worst.",
        "lists",
        where="list",
    ),
    Action(
        "list.remove",
        ("d",),
        "remove",
        "Stem store, models: removes what is chosen, after asking.",
        "lists",
        where="list",
    ),
    Action("list.close", ("escape", "q"), "back", "Closes the panel.", "lists", where="list"),
    Action("null.hear", ("n",), "hear it", "Plays the difference at its worst place.", "null panel", where="null"),
    Action("null.toggle", ("space",), "play", "Plays from the playhead, or stops.", "null panel", where="null"),
    Action("null.source", ("a",), "source", "Listens to the source.", "null panel", where="null"),
    Action("null.repair", ("b",), "repair", "Listens to the repair.", "null panel", where="null"),
    Action(
        "null.side",
        ("tab",),
        "before or after",
        "Before a render, the live check; after it, the written file.",
        "null panel",
        where="null",
    ),
    Action("null.pick_0", ("0",), "all of it", "Shows all of the change.", "null panel", where="null"),
    *(
        Action(
            f"null.pick_{number}",
            (str(number),),
            f"strip {number}",
            f"Shows what strip {number} changes.",
            "null panel",
            where="null",
        )
        for number in range(1, 10)
    ),
    Action(
        "warp.back", ("h",), "back", "Moves the cursor one step back.", "warp editor", where="warp", panes=("warp",)
    ),
    Action("warp.forward", ("l",), "on", "Moves the cursor one step on.", "warp editor", where="warp", panes=("warp",)),
    Action(
        "warp.beat_before",
        ("less_than_sign",),
        "beat before",
        "Goes to the beat before the cursor.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.beat_after",
        ("greater_than_sign",),
        "beat after",
        "Goes to the beat after the cursor.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.anchor_before",
        ("left_curly_bracket",),
        "anchor before",
        "Goes to the anchor before the cursor, and takes hold of it.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.anchor_after",
        ("right_curly_bracket",),
        "anchor after",
        "Goes to the anchor after the cursor, and takes hold of it.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.attack_after",
        ("tab",),
        "attack after",
        "Goes to the next attack.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.attack_before",
        ("shift+tab",),
        "attack before",
        "Goes to the attack before the cursor.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.start",
        ("home",),
        "start",
        "Puts the cursor at the start of the file.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.end",
        ("end",),
        "end",
        "Puts the cursor at the end of the file.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.snap",
        ("s",),
        "snap",
        "Puts the cursor on the nearest attack.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.loop_first",
        ("left_square_bracket",),
        "loop in",
        "The loop begins at the cursor.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.loop_last",
        ("right_square_bracket",),
        "loop out",
        "The loop ends at the cursor.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.loop", ("backslash",), "loop", "Turns the loop on or off.", "warp editor", where="warp", panes=("warp",)
    ),
    Action(
        "warp.zoom_in", ("plus",), "zoom in", "Shows half as much time around the cursor.", "warp editor", where="warp"
    ),
    Action(
        "warp.zoom_out",
        ("minus",),
        "zoom out",
        "Shows twice as much time.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.zoom_loop",
        ("z",),
        "zoom to loop",
        "Shows the loop, or four bars around the cursor.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.zoom_all", ("Z",), "whole file", "Shows the whole file.", "warp editor", where="warp", panes=("warp",)
    ),
    Action(
        "warp.set",
        (
            "enter",
            "i",
        ),
        "anchor",
        "Sets an anchor at the cursor, or takes hold of the one there.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.remove",
        (
            "d",
            "delete",
        ),
        "delete",
        "Takes the anchor at the cursor away.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.earlier",
        ("left",),
        "1 ms earlier",
        "Drags the anchor by 1 ms.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.later",
        ("right",),
        "1 ms later",
        "Drags the anchor by 1 ms.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.much_earlier",
        (
            "comma",
            "shift+left",
        ),
        "10 ms earlier",
        "Drags the anchor by 10 ms.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.much_later",
        (
            "semicolon",
            "shift+right",
        ),
        "10 ms later",
        "Drags the anchor by 10 ms.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.frame_earlier",
        ("left_parenthesis",),
        "1 frame earlier",
        "Drags the anchor by one frame.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.frame_later",
        ("right_parenthesis",),
        "1 frame later",
        "Drags the anchor by one frame.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.type",
        ("equals_sign",),
        "type",
        "Where the anchor goes, typed: a time, a frame, or by how much: +20ms.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.default",
        ("backspace",),
        "as it was",
        "Puts the anchor where its neighbours would have it.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.alone",
        ("o",),
        "local or whole",
        "Drags move only what is up to the next anchors, or all that follows.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.curve",
        ("v",),
        "curve",
        "Constant speed between anchors, or gliding.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.grid",
        ("g",),
        "grid",
        "Brings the beats onto a grid: strength, tempo, swing.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.steady",
        ("G",),
        "tempo",
        "Another tempo: one ratio for the whole file.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action("warp.clear", ("V",), "clear", "Takes the whole map out.", "warp editor", where="warp", panes=("warp",)),
    Action("warp.undo", ("u",), "undo", "Goes back one edit.", "warp editor", where="warp", panes=("warp",)),
    Action(
        "warp.redo",
        (
            "U",
            "ctrl+r",
        ),
        "redo",
        "Goes forward one edit.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.find",
        ("f",),
        "find beats",
        "Listens for beats: in the drums, or in what has the clearest ones.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action("warp.half", ("H",), "half", "Counts every other beat.", "warp editor", where="warp", panes=("warp",)),
    Action(
        "warp.double", ("D",), "double", "Counts twice as many beats.", "warp editor", where="warp", panes=("warp",)
    ),
    Action(
        "warp.downbeat",
        ("B",),
        "bar here",
        "A bar begins at the beat nearest to the cursor.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.meter",
        ("M",),
        "beats a bar",
        "How many beats a bar has, from the beat at the cursor on or everywhere.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.number",
        ("N",),
        "bar number",
        "Which number the first whole bar has.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.put_beat", ("p",), "put beat", "Puts a beat at the cursor.", "warp editor", where="warp", panes=("warp",)
    ),
    Action(
        "warp.drop_beat", ("x",), "drop beat", "Takes the beat nearest to the cursor out.", "warp editor", where="warp"
    ),
    Action(
        "warp.move_beat",
        ("m",),
        "move beat",
        "Moves the beat nearest to the cursor there.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.tap",
        ("t",),
        "tap",
        "While it plays: a beat is now. Stopping makes beats of the taps.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.toggle",
        ("space",),
        "play",
        "Plays from the cursor as it is, or stops.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action("warp.source", ("a",), "source", "Listens to the source.", "warp editor", where="warp", panes=("warp",)),
    Action("warp.repair", ("b",), "repair", "Listens to the repair.", "warp editor", where="warp", panes=("warp",)),
    Action(
        "warp.hear",
        ("w",),
        "hear warped",
        "Plays the loop, or four bars from the cursor on, along the map.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "warp.click",
        ("c",),
        "click",
        "What is heard warped has a click on every beat, or not.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action("warp.help", ("question_mark",), "help", "Shows every key.", "warp editor", where="warp", panes=("warp",)),
    Action(
        "warp.close",
        (
            "escape",
            "q",
        ),
        "back",
        "Closes the editor.",
        "warp editor",
        where="warp",
        panes=("warp",),
    ),
    Action(
        "cleanup.next",
        ("j", "down"),
        "next",
        "The next line: a step, one of its values, or what was found.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.previous",
        ("k", "up"),
        "previous",
        "The line above.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.less",
        ("left",),
        "less",
        "One fine step down; on a step, its strength.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.more",
        ("right",),
        "more",
        "One fine step up; on a step, its strength.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.much_less",
        ("comma", "shift+left"),
        "much less",
        "One coarse step down.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.much_more",
        ("semicolon", "shift+right"),
        "much more",
        "One coarse step up.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.type",
        ("equals_sign", "enter"),
        "type",
        "Opens a field for a typed value; on what was found, takes its step into the list.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.default",
        ("backspace",),
        "default",
        "Puts the value back to its default.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.propose",
        ("p",),
        "propose",
        "Looks for damage, lists all of it, and takes the steps into the list that surely find some.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.add",
        ("i",),
        "add step",
        "Adds a step after the chosen one.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.remove",
        ("d", "delete"),
        "delete",
        "Takes the chosen step out of the list.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.bypass",
        ("y",),
        "bypass",
        "Bypasses the chosen step, or takes it back in.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.up",
        ("left_parenthesis", "shift+up"),
        "move up",
        "Moves the chosen step up: it hears less of the others.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.down",
        ("right_parenthesis", "shift+down"),
        "move down",
        "Moves the chosen step down.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.apply",
        ("m",),
        "heard by",
        "Who hears the outcome of the step: the networks only, or the master too.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.presets",
        ("P",),
        "presets",
        "Takes the steps of a preset in place of those in the list.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.target",
        ("t",),
        "target",
        "The clean-up of the source, or of the stem that is chosen on the desk.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.carry_out",
        ("c",),
        "carry out",
        "Carries out every step, and says what each found and took away.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.toggle",
        ("space",),
        "play",
        "Plays the loop, or four seconds around the playhead, cleaned; or stops.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.before",
        ("a",),
        "before",
        "Listens to what it was.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.after",
        ("b",),
        "after",
        "Listens to what the steps leave of it.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.removed",
        ("n",),
        "taken away",
        "Listens to what is taken away, and nothing else.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.flip",
        ("x",),
        "flip",
        "Flips between before and after.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.alone",
        ("s",),
        "step alone",
        "The chosen step alone, or all of them: alone, what it took is subtracted from the original.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.view",
        ("v",),
        "view",
        "Shows before, after, or what is taken away, where there is no room for all three.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.back",
        ("h",),
        "back",
        "Moves the playhead one step back.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.forward",
        ("l",),
        "on",
        "Moves the playhead one step on.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.back_5",
        ("less_than_sign",),
        "5 s back",
        "Moves the playhead back by five seconds.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.forward_5",
        ("greater_than_sign",),
        "5 s on",
        "Moves the playhead on by five seconds.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.start",
        ("home",),
        "start",
        "Puts the playhead at the start of the file.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.end",
        ("end",),
        "end",
        "Puts the playhead at the end of the file.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.loop_first",
        ("left_square_bracket",),
        "loop in",
        "The loop begins at the playhead.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.loop_last",
        ("right_square_bracket",),
        "loop out",
        "The loop ends at the playhead.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.loop",
        ("backslash",),
        "loop",
        "Turns the loop on or off.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.undo", ("u",), "undo", "Goes back one edit.", "clean-up bench", where="cleanup", panes=("cleanup",)
    ),
    Action(
        "cleanup.redo",
        ("U", "ctrl+r"),
        "redo",
        "Goes forward one edit.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.help",
        ("question_mark",),
        "help",
        "Shows every key.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.stop",
        ("escape",),
        "back",
        "Closes the bench; stops what runs first, after asking.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action(
        "cleanup.close",
        ("q",),
        "close",
        "Closes the bench; what runs goes on.",
        "clean-up bench",
        where="cleanup",
        panes=("cleanup",),
    ),
    Action("form.next", ("down", "j", "tab"), "next", "The next field.", "forms", where="form"),
    Action("form.previous", ("up", "k", "shift+tab"), "previous", "The field above.", "forms", where="form"),
    Action("form.less", ("left", "h"), "less", "The value before.", "forms", where="form"),
    Action("form.more", ("right", "l"), "more", "The value after.", "forms", where="form"),
    Action("form.type", ("equals_sign",), "type", "Opens a field for a typed value.", "forms", where="form"),
    Action("form.go", ("enter",), "go", "Carries out what the form says.", "forms", where="form"),
    Action("form.close", ("escape", "q"), "back", "Closes the form.", "forms", where="form"),
    Action("blind.toggle", ("space",), "play", "Plays from the loop's start, or stops.", "blind test", where="blind"),
    Action("blind.source", ("a",), "A", "Listens to A, the source.", "blind test", where="blind"),
    Action("blind.repair", ("b",), "B", "Listens to B, the repair.", "blind test", where="blind"),
    Action("blind.x", ("x",), "X", "Listens to X, which is one of the two.", "blind test", where="blind"),
    Action("blind.is_source", ("1",), "X is A", "Answers: X is the source.", "blind test", where="blind"),
    Action("blind.is_repair", ("2",), "X is B", "Answers: X is the repair.", "blind test", where="blind"),
    Action(
        "blind.more", ("plus",), "more trials", "More trials, before the first answer.", "blind test", where="blind"
    ),
    Action("blind.less", ("minus",), "fewer trials", "Fewer, before the first answer.", "blind test", where="blind"),
    Action("blind.again", ("enter",), "another", "Another test, once one is over.", "blind test", where="blind"),
    Action("blind.close", ("escape", "q"), "leave", "Leaves; answers stay in the log.", "blind test", where="blind"),
)
"""In the order of the help."""

DISPLAY = {
    "less_than_sign": "<", "greater_than_sign": ">", "left_square_bracket": "[", "right_square_bracket": "]",
    "backslash": "\\", "apostrophe": "'", "left_curly_bracket": "{", "right_curly_bracket": "}", "comma": ",",
    "semicolon": ";", "equals_sign": "=", "full_stop": ".", "plus": "+", "minus": "-", "question_mark": "?",
    "colon": ":", "slash": "/", "exclamation_mark": "!", "left_parenthesis": "(", "right_parenthesis": ")",
    "escape": "Esc", "enter": "Enter", "backspace": "Backspace", "tab": "Tab", "shift+tab": "Shift+Tab", "home": "Home",
    "end": "End", "left": "Left", "right": "Right", "up": "Up", "down": "Down", "pagedown": "PgDn", "pageup": "PgUp",
    "shift+left": "Shift+Left", "shift+right": "Shift+Right", "shift+up": "Shift+Up", "shift+down": "Shift+Down",
    "ctrl+r": "Ctrl+R", "space": "Space", "insert": "Ins", "delete": "Del", "at": "@", "ampersand": "&",
    "asterisk": "*", "circumflex_accent": "^", "dollar_sign": "$", "grave_accent": "`", "number_sign": "#",
    "percent_sign": "%", "quotation_mark": '"', "tilde": "~", "underscore": "_", "vertical_line": "|",
}  # fmt: skip
"""How keys are written for people, where Textual's name is not the key itself."""

ARROWS = {"Left": "←", "Right": "→", "Up": "↑", "Down": "↓"}

Keymap = Mapping[str, tuple[str, ...]]
"""Keys of the user's own by action id."""


def keys_of(action: Action, keymap: Keymap) -> tuple[str, ...]:
    """The keys of an action: the user's own, else the default ones."""
    return keymap.get(action.id, action.keys)


def shown(key: str) -> str:
    """A key as people write it."""
    return DISPLAY.get(key, key)


def brief(action_id: str, keymap: Keymap) -> str:
    """The first key of an action, as short as a footer wants it; nothing for one that has none."""
    key = shown(next(iter(keys_of(by_id(action_id), keymap)), ""))
    return ARROWS.get(key, key)


_own: Keymap = {}


def use(keymap: Keymap) -> None:
    """Has the texts of this program speak of the user's own keys."""
    global _own
    _own = keymap


def key(action_id: str) -> str:
    """The key of an action as a text speaks of it: `o` in "o opens a file"."""
    return brief(action_id, _own)


def brief_pair(one_id: str, other_id: str, keymap: Keymap) -> str:
    """The keys of two actions that belong together: `←→`, or `Ins/Del` where they are words."""
    keys = [key for key in (brief(one_id, keymap), brief(other_id, keymap)) if key]
    return ("" if all(len(key) == 1 and not key.isalnum() for key in keys) else "/").join(keys)


def bindings(where: Where) -> list[Binding]:
    """The default bindings of a kind of screen, each with its action's id, so that a keymap can replace them."""
    from textual.binding import Binding

    return [
        Binding(",".join(action.keys), action.method, action.title, show=False, id=action.id)
        for action in ACTIONS
        if action.where == where
    ]


def in_footer(pane: str) -> list[Action]:
    """The actions that the footer shows for a pane, most useful first."""
    return sorted((action for action in ACTIONS if pane in action.panes), key=lambda action: action.rank)


def groups(actions: Iterable[Action] = ACTIONS) -> dict[str, list[Action]]:
    """Actions by group, in order."""
    found: dict[str, list[Action]] = {}
    for action in actions:
        found.setdefault(action.group, []).append(action)
    return found


def by_id(wanted: str) -> Action:
    """The action of an id. Raises KeyError."""
    return next(action for action in ACTIONS if action.id == wanted)


def clashing(keymap: Keymap) -> list[tuple[str, Action, Action]]:
    """Keys that two actions of one kind of screen would have, with the two."""
    found: list[tuple[str, Action, Action]] = []
    taken: dict[tuple[Where, str], Action] = {}
    for action in ACTIONS:
        for key in keys_of(action, keymap):
            other = taken.setdefault((action.where, key), action)
            if other is action and action.where == "null":
                other = taken.get(("list", key), action)  # a null panel has the keys of a list as well
            if other is not action:
                found.append((key, other, action))
    return found


def key_table() -> str:
    """The default keys as Markdown tables, for `docs/keys.md`."""
    lines: list[str] = []
    for group, actions in groups().items():
        lines += [f"## {group.capitalize()}", "", "| key | id | does |", "|---|---|---|"]
        for action in actions:
            keys = ", ".join(f"`{shown(key)}`" for key in action.keys)
            lines.append(f"| {keys} | `{action.id}` | {action.about} |")
        lines.append("")
    return "\n".join(lines)
