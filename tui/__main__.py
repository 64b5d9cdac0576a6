"""The command `unbake`: turns what a person typed into one call of the core, and its outcome into an exit code.

Exit codes: 0 done, 1 the check that was asked for failed, 2 can't be done as asked, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence

from core.errors import refusal

EXIT_REFUSED = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Every outcome a person can meet is an exit code and at most one line on stderr."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, io.StringIO())
    try:
        from tui.cli.parser import parse

        options = parse(sys.argv[1:] if argv is None else argv)
        code = options.run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("unbake: interrupted; asked again, what was under way goes on where it was safe", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # the reader of our output went away: leave quietly, as other tools do
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_REFUSED
    except Exception as error:
        refused = refusal(error)
        if refused is None:
            raise
        print(f"unbake: error: {refused.line()}", file=sys.stderr)
        return EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main())
