"""Every command, its options and its help. Only the standard library is imported here: help must be instant."""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from core.errors import UnbakeError
from tui import typed

MODULES = "tui.cli.commands"
SESSION = "a session, such as song.unbake.toml"


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong option is an UnbakeError: one line instead of a page."""

    def error(self, message: str) -> NoReturn:
        """Refuses what was typed."""
        raise UnbakeError(message, remedy=f"{self.prog} --help")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options of one command line; `run` among them is what carries it out."""
    options = (_workstation() if _opens(argv) else build()).parse_args(argv)
    for value in vars(options).values():
        if isinstance(value, Path) and str(value) == "-":
            raise UnbakeError("standard input and output are not supported here", where="-", remedy="name a file")
    return options


def _opens(argv: Sequence[str]) -> bool:
    """Whether a command line opens the workstation: nothing, a file, or only the workstation's options."""
    if not set(argv).isdisjoint(("-h", "--help", "--version")):
        return False
    valued = {place + 1 for place, word in enumerate(argv) if word == "--theme"}
    words = [word for place, word in enumerate(argv) if not word.startswith("-") and place not in valued]
    if not words:
        return True
    if words[0] in COMMANDS:
        return False
    if not Path(words[0]).exists():
        commands = ", ".join(COMMANDS)
        raise UnbakeError(
            "neither a command nor a file", where=words[0], remedy=f"commands: {commands}; see unbake --help"
        )
    return True


def _workstation() -> Parser:
    """`unbake [FILE]`: everything that has no command opens the full-screen app."""
    parser = Parser(prog="unbake", add_help=False)
    parser.add_argument("file", nargs="?", type=_path)
    _app_options(parser)
    parser.set_defaults(run=_open_workstation)
    return parser


def _app_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--theme", choices=("dark", "light", "contrast"), help="the workstation's colours")
    parser.add_argument(
        "--low-bandwidth", action="store_true", help="the workstation repaints less often, for slow lines"
    )
    parser.add_argument("--read-only", action="store_true", help="the workstation changes nothing")


def _open_workstation(options: argparse.Namespace) -> int:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UnbakeError("the workstation needs a terminal", remedy="commands work without one: see unbake --help")
    from tui.app import run

    return run(options.file, theme=options.theme, low_bandwidth=options.low_bandwidth, read_only=options.read_only)


def build() -> Parser:
    """The whole command tree."""
    parser = Parser(
        prog="unbake",
        usage="unbake [FILE] [--theme T] [--low-bandwidth] [--read-only]\n       unbake COMMAND ...",
        description="Mastering repair: split a finished master, repair one stem, prove that nothing else moved. "
        "Without a command it opens the full-screen workstation on a master or a session.",
        epilog="example: unbake repair song.wav --preset muddy-low-end -o repaired.wav --report repaired.html",
    )
    parser.add_argument("--version", action=_Version, help="show the version and leave")
    _app_options(parser)
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Parser, prog="unbake"
    )
    for add in COMMANDS.values():
        add(commands)
    return parser


class _Version(argparse.Action):
    """`--version`, looked up only when asked."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        parser.exit(message=f"unbake {version('unbake')}\n")


def _add(commands: argparse._SubParsersAction, name: str, about: str, example: str, run: str) -> Parser:
    """One command with what all commands have. `run` is `module:function` under `tui.cli.commands`."""
    parser: Parser = commands.add_parser(name, help=about, description=about, epilog=f"example: {example}")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--quiet", action="store_true", help="no progress and no notes")
    parser.set_defaults(run=_lazily(run))
    return parser


def _group(commands: argparse._SubParsersAction, name: str, about: str, example: str) -> argparse._SubParsersAction:
    """A command that has actions of its own."""
    parser = commands.add_parser(name, help=about, description=about, epilog=f"example: {example}")
    return parser.add_subparsers(title="actions", metavar="ACTION", required=True, parser_class=Parser)


def _lazily(target: str) -> Callable[[argparse.Namespace], int]:
    module, _, function = target.partition(":")

    def run(options: argparse.Namespace) -> int:
        return getattr(importlib.import_module(f"{MODULES}.{module}"), function)(options)

    return run


def _file(parser: Parser, name: str = "file", about: str = "an audio file") -> None:
    parser.add_argument(name, type=_path, metavar=name.upper(), help=about)


def _path(text: str) -> Path:
    """A path as typed. An empty one is a variable that was not set, not the present folder."""
    if not text:
        raise UnbakeError("an empty name where a file is needed")
    return Path(text)


def _share(text: str) -> float:
    """A number that is neither negative nor NaN."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise UnbakeError("must be a number, 0 or more", where=text)
    return value


def _number(text: str) -> float:
    """Any number but NaN and the infinite ones."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UnbakeError("must be a number", where=text)
    return value


def _seconds(text: str) -> float:
    """A time as seconds or minutes:seconds."""
    try:
        minutes, _, seconds = text.rpartition(":")
        value = 60.0 * int(minutes or "0") + float(seconds)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf or text.startswith("-"):
        raise UnbakeError("must be a time, such as 95.5 or 1:35.5", where=text)
    return value


def _percent(text: str) -> float:
    """0 to 100."""
    value = _share(text.strip().removesuffix("%"))
    if value > 100.0:
        raise UnbakeError("must be 0 to 100 percent", where=text)
    return value


def _rate(text: str) -> int:
    """A sample rate that can be written."""
    if not (text.isascii() and text.isdigit() and 8000 <= int(text) <= 384_000):
        raise UnbakeError("must be a sample rate in Hz, 8000 to 384000", where=text)
    return int(text)


def _delivery(parser: Parser, default: str) -> None:
    parser.add_argument("-o", "--output", type=_path, metavar="OUT", help=f"default: {default}")
    parser.add_argument(
        "--report", type=_path, metavar="R", help="write a report: .html as a page, .json for programs, else Markdown"
    )
    parser.add_argument("--profile", metavar="P", help="where it goes: see unbake profiles list; or a profile's file")
    parser.add_argument(
        "--subtype",
        metavar="S",
        help="sample format, such as 16, 24, float, PCM_24 (default: the profile's or source's)",
    )
    parser.add_argument("--rate", type=_rate, metavar="HZ", help="sample rate (default: the profile's or source's)")
    parser.add_argument(
        "--overs",
        choices=("trim", "limit", "clip"),
        help="when the sum exceeds full scale: lower the whole file, limit, or clip (default: refuse)",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT and R if they exist")
    _device(parser)


def _stems_from(parser: Parser, *names: str) -> None:
    parser.add_argument(
        *names,
        dest="stems_from",
        type=_path,
        metavar="DIR",
        help="a folder with stems of any tool: NAME.wav or NAME.flac",
    )
    parser.add_argument("--align", action="store_true", help="take out an offset that these stems have")


def _device(parser: Parser) -> None:
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N (default: auto)")


def _precision(parser: Parser) -> None:
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "tf32", "bf16", "fp16"),
        default="auto",
        help="how exactly the network reckons (default: auto, the fastest that models check found as good as fp32)",
    )


def _demo(commands: argparse._SubParsersAction) -> None:
    about = "the main job on real audio that an installed package ships: separate, repair, null test, render, report"
    parser = _add(commands, "demo", about, "unbake demo -o demo", "demo:run")
    parser.add_argument(
        "-o", "--output", type=_path, default=Path("unbake-demo"), metavar="DIR", help="default: unbake-demo"
    )
    parser.add_argument("--force", action="store_true", help="replace what an earlier demo wrote")
    _device(parser)


def _info(commands: argparse._SubParsersAction) -> None:
    about = "format, length, loudness, true peak, faults found"
    _file(_add(commands, "info", about, "unbake info song.wav", "info:run"))


def _separate(commands: argparse._SubParsersAction) -> None:
    about = "stems and residual as 32-bit float WAV; together they are the source again"
    parser = _add(commands, "separate", about, "unbake separate song.wav -o stems --model starter", "separate:run")
    _file(parser)
    parser.add_argument("-o", "--output", type=_path, required=True, metavar="DIR", help="folder for the stems")
    parser.add_argument("--model", default="starter", metavar="M", help="see: unbake models list (default: starter)")
    parser.add_argument("--stems", metavar="A,B", help="only these stems; the rest is the residual")
    parser.add_argument("--overlap", type=float, metavar="X", help="passes over the audio (default: the model's own)")
    parser.add_argument(
        "--from",
        dest="from_seconds",
        type=_seconds,
        default=0.0,
        metavar="T",
        help="separate what lies there first, then outward: seconds, or minutes:seconds",
    )
    _precision(parser)
    parser.add_argument("--compile", action="store_true", help="have torch compile the network first")
    parser.add_argument(
        "--sensitivity",
        type=typed.sensitivity,
        default={},
        metavar="A=X,B=Y",
        help="of stems, 0 (keeps bleed, few artefacts) to 10 (clean and watery); 5 is what the network gives",
    )
    parser.add_argument("--force", action="store_true", help="replace stems that are in DIR already")
    _device(parser)


def _score(commands: argparse._SubParsersAction) -> None:
    about = "SDR of estimated stems against the true ones, where there are any: one track, or folders of tracks"
    parser = _add(commands, "score", about, "unbake score musdb18hq/test estimates", "score:run")
    _file(parser, "true", "true stems: a folder of NAME.wav, or of folders of them")
    _file(parser, "estimated", "estimated stems, of the same names")


def _repair(commands: argparse._SubParsersAction) -> None:
    about = "preset to repaired master in one go, with the proof that nothing else moved"
    example = "unbake repair song.wav --preset muddy-low-end -o repaired.wav --report repaired.html"
    parser = _add(commands, "repair", about, example, "repair:repair")
    _file(parser, about="the master")
    parser.add_argument("--preset", required=True, metavar="P", help="see: unbake presets list; or a preset's file")
    parser.add_argument("--session", type=_path, metavar="S", help="session to lay the preset over, made if missing")
    parser.add_argument("--model", metavar="M", help="see: unbake models list (default: starter)")
    _precision(parser)
    _stems_from(parser, "--stems-from")
    _reference(parser)
    _delivery(parser, "NAME.repaired.EXT beside the source")


def _reference(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reference",
        type=_path,
        metavar="FILE",
        help="a recording whose balance the low mids are held against: another song of the record, an earlier mix",
    )


def _diagnose(commands: argparse._SubParsersAction) -> None:
    about = "measures the faults that presets can repair, and says which preset and why"
    parser = _add(commands, "diagnose", about, "unbake diagnose song.wav", "diagnose:run")
    _file(parser)
    parser.add_argument("--model", metavar="M", help="see: unbake models list (default: starter)")
    _precision(parser)
    _stems_from(parser, "--stems-from")
    _reference(parser)
    parser.add_argument("--all", action="store_true", help="what is within its limits, too")
    _device(parser)


def _render(commands: argparse._SubParsersAction) -> None:
    about = "renders a session, with the proof that nothing else moved"
    example = "unbake render song.unbake.toml -o repaired.wav --overs trim"
    parser = _add(commands, "render", about, example, "repair:render")
    _file(parser, "session", SESSION)
    _stems_from(parser, "--stems", "--stems-from")
    _delivery(parser, "NAME.repaired.EXT beside the source")


def _null(commands: argparse._SubParsersAction) -> None:
    about = "null test of two files; exit 1 above the threshold or when lengths differ"
    parser = _add(commands, "null", about, "unbake null song.wav repaired.wav --threshold -90", "null:run")
    parser.add_argument("a", type=_path, metavar="A", help="an audio file")
    parser.add_argument("b", type=_path, metavar="B", help="the file to hold against it")
    parser.add_argument(
        "--threshold", type=float, metavar="DB", help="dBFS peak (default: -90, or -84 where either file is 16 bit)"
    )
    parser.add_argument(
        "--align", action="store_true", help="also measure with delay, drift, gain and polarity taken out"
    )
    parser.add_argument("--bands", action="store_true", help="show every third octave: levels, coherence, phase")
    parser.add_argument(
        "--window", type=float, metavar="S", help="show residual and delay over time, in windows so long (2 to measure)"
    )
    _passage(parser)
    parser.add_argument("--quick", action="store_true", help="identity, peak and rms only")
    parser.add_argument("--listen", type=_path, metavar="OUT", help="write what is left, A - B, as 32-bit float")
    parser.add_argument("--force", action="store_true", help="replace an OUT that exists")


def _time_map(parser: argparse.ArgumentParser) -> None:
    made = parser.add_argument_group("the map: one of")
    made.add_argument("--to-bpm", type=_number, metavar="N", help="this tempo, at one speed throughout")
    made.add_argument(
        "--straighten",
        type=_percent,
        metavar="P",
        help="beats onto an even grid by P percent, at --to-bpm or their own",
    )
    made.add_argument("--map", type=_path, metavar="MAP", help="a time map, or a tempo map: text, MIDI, REAPER, Live")
    made.add_argument("--anchors", metavar="A", help="typed, such as '0:12.5 -> 0:12, 5.1 -> +20ms'")
    made.add_argument("--follow", type=_path, metavar="FILE", help="as another recording of the same music goes")
    made.add_argument("--smooth", action="store_true", help="the speed glides from anchor to anchor")
    beats = parser.add_argument_group("beats")
    beats.add_argument("--from-bpm", type=_number, metavar="N", help="the tempo it has (default: found)")
    beats.add_argument("--swing", type=_number, metavar="R", help="with --straighten: 1 is straight, 2 a triplet")
    beats.add_argument("--taps", type=_path, metavar="FILE", help="beats as tapped: seconds, one a line")
    beats.add_argument(
        "--beats-from", type=_path, metavar="FILE", help="where beats are found (default: drums, else the guide)"
    )


def _clean(commands: argparse._SubParsersAction) -> None:
    about = "takes clipping, clicks, hum, noise, echoes and reverberation out of a file; what is sound stays as it is"
    parser = _add(commands, "clean", about, "unbake clean tape.wav -o clean.wav --steps dehum,denoise", "clean:run")
    _file(parser, "file", "an audio file")
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument(
        "-o", "--output", type=_path, metavar="OUT", help="the cleaned file; 32-bit float where it can be"
    )
    goal.add_argument("--find", action="store_true", help="only say what is found; writes no file")
    _cleanup(parser)
    parser.add_argument("--removed", type=_path, metavar="FILE", help="write what was taken away, to be listened to")
    parser.add_argument("--subtype", metavar="S", help="sample format, such as float, 24, 16 (default: float)")
    parser.add_argument(
        "--overs",
        choices=("trim", "clip"),
        help="what becomes of restored peaks that integers can't hold (default: refuse)",
    )
    _device(parser)
    parser.add_argument("--force", action="store_true", help="replace OUT if it is there")


def _cleanup(parser: argparse.ArgumentParser) -> None:
    """Which steps, and what they are told."""
    parser.add_argument(
        "--steps",
        metavar="S,S",
        help="in this order: declip, declick, decrackle, dehum, denoise, deecho, dereverb, network:MODEL "
        "(default: those whose fault is surely found)",
    )
    parser.add_argument("--preset", metavar="P", help="a preset with a clean-up, such as vinyl")
    parser.add_argument(
        "--set",
        dest="values",
        action="append",
        default=[],
        metavar="STEP.NAME=V",
        help="tell a step something, such as dehum.freq_hz=50 or denoise.strength=0.5; may be repeated",
    )


def _warp(commands: argparse._SubParsersAction) -> None:
    about = "warps one file, or several that belong together, along one time map; parts still add up to their sum"
    parser = _add(commands, "warp", about, "unbake warp master.wav stems/*.wav -o warped --to-bpm 124", "warp:run")
    parser.add_argument("files", nargs="+", type=_path, metavar="FILE", help="audio files of one rate and length")
    parser.add_argument("-o", "--output", type=_path, required=True, metavar="DIR", help="folder for NAME.wav of each")
    _time_map(parser)
    parser.add_argument("--guide", type=_path, metavar="G", help="what all are linked to (default: the first FILE)")
    parser.add_argument(
        "--mode",
        choices=("linked", "beats", "repitch", "tones", "texture", "rubberband"),
        default="linked",
        help="how sound is carried (default: linked)",
    )
    parser.add_argument(
        "--cents", type=_number, default=0.0, metavar="C", help="higher by so much; modes repitch and rubberband"
    )
    parser.add_argument("--formants", action="store_true", help="with --cents: formants stay; mode rubberband")
    parser.add_argument(
        "--tail",
        choices=("crossfade", "gate"),
        default="crossfade",
        help="mode beats: what is too short goes on, or fades out (default: crossfade)",
    )
    parser.add_argument("--subtype", metavar="S", help="sample format, such as float, double, 24 (default: float)")
    parser.add_argument("--overs", choices=("clip",), help="cut what an integer format can't hold (default: refuse)")
    parser.add_argument("--save-map", type=_path, metavar="MAP", help="write the map, too: .map .txt .mid .rpp .xml")
    parser.add_argument("--force", action="store_true", help="replace files that are in DIR already")


def _tempo(commands: argparse._SubParsersAction) -> None:
    about = "tempo, beats and bars, heard in the drums where there are stems, or in what has the clearest beat"
    parser = _add(commands, "tempo", about, "unbake tempo song.wav --stems-from stems", "tempo:run")
    _file(parser)
    parser.add_argument("--model", metavar="M", help="separate first (default: listen to FILE itself)")
    _stems_from(parser, "--stems-from")
    parser.add_argument("--meter", type=int, metavar="N", help="beats of a bar (default: 4, or 3 where that is clear)")
    level = parser.add_mutually_exclusive_group()
    level.add_argument("--half", action="store_true", help="every other beat: half the tempo that was found")
    level.add_argument("--double", action="store_true", help="twice the beats")
    parser.add_argument(
        "--bpm-range", type=typed.bpm_range, metavar="LOW,HIGH", help="where the tempo lies (default: 40,240)"
    )
    _device(parser)


def _verify(commands: argparse._SubParsersAction) -> None:
    about = (
        "holds a certificate (NAME.unbake.json beside the output) against its files, and renders again; "
        "exit 1 when anything differs"
    )
    parser = _add(commands, "verify", about, "unbake verify song.repaired.wav", "verify:run")
    _file(parser, "certificate", "a certificate NAME.unbake.json, or the output that it lies beside")
    _device(parser)


def _play(commands: argparse._SubParsersAction) -> None:
    about = "listen: a sound card, a browser over ssh -L, or a WAV on stdout for a pipe"
    parser = _add(commands, "play", about, "unbake play song.unbake.toml --stream n --stdout | mpv -", "play:run")
    _file(parser, "session", SESSION + ", or an audio file")
    parser.add_argument(
        "--stream",
        default="repair",
        metavar="X",
        help="source, repair, difference (or a, b, n), or the name of a strip, alone (default: repair)",
    )
    _passage(parser)
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument(
        "--stdout", action="store_true", help="a WAV of 32-bit floats on standard output, levels as rendered"
    )
    ways.add_argument(
        "--browser", action="store_true", help="serve the listening page, and say how to get there by ssh -L"
    )
    ways.add_argument("--card", metavar="NAME", help="the sound card whose name holds this (default: the first)")
    parser.add_argument("--loop", action="store_true", help="sound card: again and again")
    parser.add_argument(
        "--no-match", dest="match", action="store_false", help="leave the louder of source and repair louder"
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="the page's address (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, metavar="N", help="the page's port (default: the first free from 8765)")
    _device(parser)


def _passage(parser: argparse.ArgumentParser) -> None:
    for name, what in (("from", "where to begin (default: the start)"), ("to", "where to end (default: the end)")):
        parser.add_argument(
            f"--{name}",
            dest=f"{name}_seconds",
            type=_seconds,
            default=0.0 if name == "from" else None,
            metavar="T",
            help=f"{what}: seconds, or minutes:seconds",
        )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 <= int(text) < 1 << 16):
        raise UnbakeError("must be a port, 0 to 65535", where=text)
    return int(text)


def _session(commands: argparse._SubParsersAction) -> None:
    about = "sessions from scripts: new, show, set, bring, drop, clean, warp, undo, redo, log"
    actions = _group(commands, "session", about, "unbake session show song.unbake.toml")
    new = _add(
        actions, "new", "a session without an edit", "unbake session new song.wav -o song.unbake.toml", "session:new"
    )
    _file(new, about="the master")
    new.add_argument("-o", "--output", type=_path, metavar="S", help="default: NAME.unbake.toml beside the source")
    new.add_argument("--model", metavar="M", help="see: unbake models list (default: starter)")
    new.add_argument("--force", action="store_true", help="start anew over an existing session; its history keeps it")
    _stems_from(new, "--stems-from")
    _file(
        _add(actions, "show", "what a session says", "unbake session show song.unbake.toml", "session:show"), "session"
    )
    change = _add(
        actions,
        "set",
        "changes values; PATH= takes one out, chain[N] one past the end appends",
        "unbake session set song.unbake.toml strips.bass.gain_db=-2 "
        "'strips.bass.chain[0]={type=\"bell\", freq_hz=250, gain_db=-4}'",
        "session:change",
    )
    _file(change, "session", SESSION)
    change.add_argument("values", nargs="+", metavar="PATH=VALUE", help="such as strips.bass.gain_db=-2")
    _session_bring(actions)
    drop = _add(
        actions,
        "drop",
        "takes a stem that was brought out again, with its strip",
        "unbake session drop song.unbake.toml guitar",
        "session:drop",
    )
    _file(drop, "session", SESSION)
    drop.add_argument("name", metavar="NAME", help="what the stem is called in the session")
    clean = _add(
        actions,
        "clean",
        "gives the session a clean-up, for the networks only or for the master too, or for the stem of one strip",
        "unbake session clean song.unbake.toml --steps dehum,denoise --apply master",
        "session:clean",
    )
    _file(clean, "session", SESSION)
    _cleanup(clean)
    clean.add_argument(
        "--apply",
        choices=("separation", "master"),
        help="who hears it: only the networks (default), or the master too; presets say so themselves",
    )
    clean.add_argument("--strip", metavar="NAME", help="clean what the chain of this strip hears")
    clean.add_argument("--none", action="store_true", help="takes the clean-up out")
    _device(clean)
    warp = _add(
        actions,
        "warp",
        "gives the session a time map: one for the master and all stems",
        "unbake session warp song.unbake.toml --straighten 80 --to-bpm 124",
        "session:warp",
    )
    _file(warp, "session", SESSION)
    _time_map(warp)
    warp.add_argument("--none", action="store_true", help="takes the time map out")
    for name, text in (("undo", "goes back one edit"), ("redo", "goes forward one edit"), ("log", "lists all edits")):
        _file(
            _add(actions, name, text, f"unbake session {name} song.unbake.toml", f"session:{name}"), "session", SESSION
        )


def _session_bring(actions: argparse._SubParsersAction) -> None:
    bring = _add(
        actions,
        "bring",
        "brings a stem of your own: finds it in the master, and subtracts it there or puts a treated copy in its place",
        "unbake session bring song.unbake.toml guitar.wav --treated 'guitar brighter.wav'",
        "session:bring",
    )
    _file(bring, "session", SESSION)
    _file(bring, about="the stem, or another mix of the same: any rate, any start, either polarity")
    bring.add_argument("--name", metavar="N", help="what to call it in the session (default: as the file)")
    bring.add_argument(
        "--mode",
        choices=("cancel", "replace", "parallel"),
        help="what its strip does (default: cancel, or replace with a treated copy)",
    )
    bring.add_argument(
        "--treated", type=_path, metavar="FILE", help="a copy that was worked on elsewhere, heard in its place"
    )
    bring.add_argument(
        "--delay", type=_number, metavar="FRAMES", help="by how much the file is late, if known, at the master's rate"
    )
    bring.add_argument("--drift", type=_number, metavar="PPM", help="how much too fast the file's clock ran, if known")
    bring.add_argument("--polarity", type=int, choices=(1, -1), help="of the file in the master, if known")
    bring.add_argument("--gain", type=_number, metavar="DB", help="from the file to what the master holds, if known")


def _presets(commands: argparse._SubParsersAction) -> None:
    about = "repair presets: list, show, check"
    actions = _group(commands, "presets", about, "unbake presets list")
    _add(actions, "list", "built in, then the user's own", "unbake presets list", "presets:listing")
    show = _add(actions, "show", "what a preset does", "unbake presets show muddy-low-end", "presets:show")
    show.add_argument("name", metavar="P", help="a preset's name or file")
    check = _add(actions, "check", "whether a preset file is right", "unbake presets check mine.toml", "presets:check")
    _file(check, about="a preset's TOML file")


def _profiles(commands: argparse._SubParsersAction) -> None:
    about = "delivery profiles for --profile: list, show, check"
    actions = _group(commands, "profiles", about, "unbake profiles list")
    _add(actions, "list", "built in, then the user's own", "unbake profiles list", "profiles:listing")
    show = _add(actions, "show", "what a profile asks for", "unbake profiles show streaming", "profiles:show")
    show.add_argument("name", metavar="P", help="a profile's name or file")
    check = _add(
        actions, "check", "whether a profile's file is right", "unbake profiles check mine.toml", "profiles:check"
    )
    _file(check, about="a profile's TOML file")


def _models(commands: argparse._SubParsersAction) -> None:
    about = "networks and their weights: list, show, fetch, add, check, remove"
    actions = _group(commands, "models", about, "unbake models list --for vocals")
    lists = _add(
        actions, "list", "all models, or the best for a source", "unbake models list --for bass", "models:listing"
    )
    lists.add_argument(
        "--for",
        dest="source",
        metavar="S",
        help="a stem, or karaoke, drumkit, dereverb, denoise, decrowd, film: ranked by published figures",
    )
    show = _add(actions, "show", "a model's card", "unbake models show starter", "models:show")
    show.add_argument("name", metavar="M", help="a model's name")
    _models_fetch(actions)
    _models_add(actions)
    check = _add(
        actions,
        "check",
        "tries installed models: hashes, the network, one chunk in every precision; exit 1 when one is wrong",
        "unbake models check starter",
        "models:check",
    )
    check.add_argument("names", nargs="*", metavar="M", help="only these (default: all that are installed)")
    _device(check)
    remove = _add(actions, "remove", "removes a model's weights", "unbake models remove mine", "models:remove")
    remove.add_argument("name", metavar="M", help="a model's name")
    remove.add_argument("--card", action="store_true", help="a card of your own too")
    remove.add_argument("--yes", action="store_true", help="don't ask")


def _models_fetch(actions: argparse._SubParsersAction) -> None:
    fetch = _add(
        actions,
        "fetch",
        "brings a model's weights, after showing size and licence; goes on where it was stopped",
        "unbake models fetch mel-roformer-kim",
        "models:fetch",
    )
    fetch.add_argument("names", nargs="+", metavar="M", help="names of models")
    fetch.add_argument("--yes", action="store_true", help="agree without being asked; a must where nobody can be")


def _models_add(actions: argparse._SubParsersAction) -> None:
    add = _add(
        actions,
        "add",
        "takes in a checkpoint of your own: checks that it is the network's, makes a card, copies it",
        "unbake models add voices.ckpt --config voices.yaml --name voices",
        "models:add",
    )
    _file(add, about="a file of weights: safetensors, torch, a Demucs package")
    add.add_argument("--card", metavar="CARD", help="a card's file, or the name of a model that the file is for")
    add.add_argument("--config", type=_path, metavar="YAML", help="the network's public configuration")
    add.add_argument("--architecture", metavar="A", help="with --config: what network it is (default: found out)")
    add.add_argument("--name", metavar="N", help="what to call the model (default: as the file or the card does)")
    add.add_argument("--link", action="store_true", help="leave the file where it is, and link to it")
    add.add_argument("--force", action="store_true", help="replace a model of the same name")


def _store(commands: argparse._SubParsersAction) -> None:
    about = "the stem store: list what it holds, prune to make room"
    actions = _group(commands, "store", about, "unbake store list")
    _add(actions, "list", "what the store holds, last used first", "unbake store list", "store:listing")
    prune = _add(
        actions,
        "prune",
        "removes what is damaged or was left half done; with options, finished stems too",
        "unbake store prune --older-than 30",
        "store:prune",
    )
    prune.add_argument("ids", nargs="*", metavar="ID", help="only these, as unbake store list shows them")
    prune.add_argument("--all", action="store_true", help="everything")
    prune.add_argument("--older-than", type=_share, metavar="DAYS", help="also what was not used for so many days")
    prune.add_argument("--keep", type=_share, metavar="GB", help="also the longest unused, down to so many GB")


def _doctor(commands: argparse._SubParsersAction) -> None:
    _add(commands, "doctor", "what this machine has: GPU, codecs, folders, models", "unbake doctor", "doctor:run")


def _plugin(commands: argparse._SubParsersAction) -> None:
    parser = _add(
        commands,
        "plugin",
        "loads a VST3 plug-in: its parameters as sessions name them, and its latency, reported and measured",
        "unbake plugin ~/.vst3/Some.vst3",
        "plugin:run",
    )
    parser.add_argument("path", metavar="PLUGIN", help="a .vst3, or the bare name of one in ~/.vst3")
    parser.add_argument("--plugin", default="", metavar="NAME", help="which one, where the file holds several")
    parser.add_argument("--channels", type=int, choices=range(1, 9), default=2, metavar="N", help="1 to 8 (2)")
    parser.add_argument("--rate", type=_rate, default=44_100, metavar="HZ", help="sample rate (44100)")


COMMANDS: dict[str, Callable[[argparse._SubParsersAction], None]] = {
    "demo": _demo,
    "info": _info,
    "clean": _clean,
    "separate": _separate,
    "diagnose": _diagnose,
    "repair": _repair,
    "render": _render,
    "null": _null,
    "warp": _warp,
    "tempo": _tempo,
    "verify": _verify,
    "play": _play,
    "session": _session,
    "presets": _presets,
    "profiles": _profiles,
    "models": _models,
    "score": _score,
    "store": _store,
    "plugin": _plugin,
    "doctor": _doctor,
}
"""Every command and the function that adds it, in the order of the help."""
