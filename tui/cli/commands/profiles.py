"""`unbake profiles list | show | check`."""

from __future__ import annotations

from argparse import Namespace

from core.session import profiles
from core.session.profiles import Profile
from tui.cli.terminal import emit, table


def listing(options: Namespace) -> int:
    """Built in, then the user's own."""
    found, broken = profiles.all_profiles()
    rows = [(profile.name, profile.origin, profile.about) for profile in found]
    rows += [("(broken)", path, problem) for path, problem in broken]
    value = {
        "schema": 1,
        "profiles": [profiles.brief(profile) for profile in found],
        "broken": [{"path": path, "problem": problem} for path, problem in broken],
    }
    emit(options, value, table(rows))
    return 0


def show(options: Namespace) -> int:
    """What a profile asks for."""
    return _tell(options, profiles.find(options.name))


def check(options: Namespace) -> int:
    """Whether a profile's file is right."""
    return _tell(options, profiles.read(options.file))


def _tell(options: Namespace, profile: Profile) -> int:
    lines = [profile.name, f"  {profile.about}", *(f"  {line}" for line in profile.words())]
    emit(options, {"schema": 1, **profiles.brief(profile), "words": profile.words()}, "\n".join(lines))
    return 0
