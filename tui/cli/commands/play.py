"""`unbake play`."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace

from core.errors import UnbakeError
from core.events import Operation
from core.jobs import listen
from core.jobs.listen import Played, Programme
from tui.cli.terminal import drive, emit


def run(options: Namespace) -> int:
    """Out of the sound card, into a pipe, or to a browser."""
    if options.stdout and options.json:
        raise UnbakeError("--stdout and --json both want standard output", remedy="leave one out")
    if options.stdout and sys.stdout.isatty():
        raise UnbakeError(
            "a terminal can't play sound", where="--stdout", remedy="pipe it: unbake play ... --stdout | mpv -"
        )
    heard = drive(
        listen.programme(
            options.session,
            options.stream,
            from_seconds=options.from_seconds,
            to_seconds=options.to_seconds,
            device=options.device,
        ),
        options,
    )
    if options.stdout:
        return _pipe(heard)
    if options.browser:
        with contextlib.suppress(KeyboardInterrupt):  # which is how one leaves it
            drive(_browser(heard, options), options)
        return 0
    played = drive(listen.to_sound_card(heard, options.card, match=options.match, looped=options.loop), options)
    late = f", {played.underruns} blocks came late" if played.underruns else ""
    emit(options, played, f"{played.stream} of {played.source}: {played.seconds:.1f} s{late}")
    return 0


def _pipe(heard: Programme) -> int:
    try:
        listen.to_pipe(heard, sys.stdout.buffer)
    except BrokenPipeError:
        sys.stderr.close()  # who listens has heard enough; Python would complain of the flush at exit
    return 0


def _browser(heard: Programme, options: Namespace) -> Operation[Played]:
    def told(url: str, tunnel: str) -> None:
        if options.json:
            emit(options, {"schema": 1, "url": url, "tunnel": tunnel}, "")
            sys.stdout.flush()
        print(f"on your own machine: {tunnel}\nthen open: {url}\n(Ctrl+C ends it)", file=sys.stderr, flush=True)

    return listen.to_browser(heard, host=options.host, port=options.port, match=options.match, told=told)
