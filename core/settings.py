"""The user's own settings: `config.toml` in `UNBAKE_HOME`. What concerns the screen is read by `tui.config`.

[models.mirrors]                                 # what the beginning of an address is replaced by
"https://huggingface.co/" = "https://mirror.example/hf/"
"https://github.com/" = ["https://near.example/", "https://github.com/"]     # the first that has the file
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from core.errors import UnbakeError, os_error
from core.places import home


def path() -> Path:
    """Where the settings lie."""
    return home() / "config.toml"


def tables() -> dict[str, Any]:
    """The file as it is parsed; nothing where there is none. Raises UnbakeError for one that can't be read."""
    try:
        return tomllib.loads(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise os_error(error, path()) from error
    except UnicodeDecodeError as error:
        raise UnbakeError("not a text file", where=path()) from error
    except (ValueError, RecursionError) as error:
        raise UnbakeError(f"not valid TOML: {str(error).lower()}", where=path()) from error


def mirrors(settings: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """By the beginning of an address, what stands for it, to be tried in this order.

    Raises UnbakeError for a table `models` that says anything else.
    """
    models = settings.get("models", {})
    if not isinstance(models, dict):
        raise _wrong("models", "must be a table")
    for key in models:
        if key != "mirrors":
            raise _wrong(f"models.{key}", "no such setting (there is mirrors)")
    given = models.get("mirrors", {})
    if not isinstance(given, dict):
        raise _wrong("models.mirrors", 'must be a table of "https://..." = "https://..."')
    found: dict[str, tuple[str, ...]] = {}
    for beginning, others in given.items():
        listed = [others] if isinstance(others, str) else others
        if not (isinstance(listed, list) and listed and all(isinstance(each, str) and each for each in listed)):
            raise _wrong(f"models.mirrors.{beginning!r}", "must be an address, or a list of addresses")
        if any(each.endswith("/") != beginning.endswith("/") for each in listed):
            raise _wrong(f"models.mirrors.{beginning!r}", "both sides must end in /, or none")
        found[beginning] = tuple(listed)
    return found


def _wrong(key: str, what: str) -> UnbakeError:
    return UnbakeError(f"{key}: {what}", where=path())
