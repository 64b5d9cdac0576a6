"""Moved to core.atomic."""

from core.atomic import *  # noqa: F403
