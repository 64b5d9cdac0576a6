"""Makes docs/demo.svg, the picture in the README, from a real run: `.venv/bin/python docs/screenshot.py`."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

OUT = Path(__file__).with_name("demo.svg")


def main() -> None:
    """Runs the demo in a fresh folder, with the stems made anew, and draws what it printed."""
    with tempfile.TemporaryDirectory() as name:
        words = [sys.executable, "-m", "tui", "demo", "-o", "demo"]
        env = {"UNBAKE_CACHE": f"{name}/cache", "UNBAKE_HOME": f"{name}/home", "PATH": "/usr/bin:/bin"}
        done = subprocess.run(words, cwd=name, env=env, capture_output=True, text=True, check=True)
        text = f"$ unbake demo -o demo\n{done.stderr}{done.stdout}".replace(f"{name}/", "").rstrip()
    console = Console(record=True, width=100, file=io.StringIO())
    for line in text.splitlines():
        style = "bold" if line.startswith("$") else "dim" if line.startswith("unbake:") else ""
        console.print(Text(line, style=style))
    console.save_svg(str(OUT), title="unbake")


if __name__ == "__main__":
    main()
