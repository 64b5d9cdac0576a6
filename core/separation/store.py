"""The stem store: sets of stems in the user's cache, one folder per source, model and parameters.

    stems/NAME-MODEL-KEY/     a finished set: one WAV per stem, residual.wav, entry.json
    stems/partial/KEY/        a separation under way, or one that was stopped and can be taken up again
    stems/damaged/...-ID/     entries that couldn't be used and were set aside
    stems/locks/KEY.lock      held (flock) by the process that works on KEY

A finished set appears by one rename, so whatever stands in a NAME-MODEL-KEY folder was once whole. Nothing here
imports torch.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import math
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from core import places
from core.atomic import size_in_words, sync, write_bytes_atomically
from core.audio import rates
from core.audio.hashes import sha256_file
from core.errors import UnbakeError, os_error
from core.separation.assemble import RESIDUAL, Assembled, StoredFile
from core.separation.device import Precision
from core.separation.lock import Lock
from core.separation.work import folder_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.audio.formats import AudioInfo

FORMAT = 1
"""Raised whenever entry.json or the way stems are made changes. It is part of every key."""
ENTRY = "entry.json"
KEY_DIGITS = 16
SECONDS_PER_DAY = 86400.0


class Recipe(msgspec.Struct, frozen=True):
    """Everything that decides the samples of a set of stems, and so the key of its entry.

    The device is not in it: another GPU may give other last bits, which the hashes tell a session that pins them.
    `overlap` is 0 for stems that no network of ours made; `heard` is the SHA-256 of what the network heard where that
    was not the source; `sensitivity` says which stems were made from those of the
    same recipe without it, and how (`core.separation.sensitivity`).
    """

    source_sha256: str
    model: str
    network_version: str
    stems: tuple[str, ...]
    overlap: float = 0.0
    window: str = "hann"
    extension: str = "mirror"
    resampler: str = rates.VERSION
    store_format: int = FORMAT
    precision: Precision = "fp32"
    compiled: bool = False
    variant: str = ""
    sensitivity: str = ""
    heard: str = ""

    @property
    def how(self) -> str:
        """Passes, precision and the like in words; empty for stems of another tool."""
        words = [f"{self.overlap:g} passes", self.precision] if self.overlap else []
        words += ["compiled"] if self.compiled else []
        words += [self.variant] if self.variant else []
        words += [f"sensitivity {self.sensitivity}"] if self.sensitivity else []
        words += ["after clean-up"] if self.heard else []
        return ", ".join(words)

    def key(self) -> str:
        """SHA-256 over the canonical JSON of the recipe, its first 16 hexadecimal digits.

        What was added to recipes later is left out where it says what was the only way before.
        """
        known = msgspec.to_builtins(self)
        for name in ("precision", "compiled", "variant", "sensitivity", "heard"):
            if known[name] == getattr(PLAIN, name):
                del known[name]
        return hashlib.sha256(msgspec.json.encode(known, order="sorted")).hexdigest()[:KEY_DIGITS]


PLAIN = Recipe("", "", "", ())


class SourceFile(msgspec.Struct, frozen=True):
    """The file that a set of stems was made from."""

    name: str
    sha256: str
    container: str
    subtype: str
    sample_rate: int
    channels: int
    frames: int
    speakers: tuple[str, ...]


class Entry(msgspec.Struct, frozen=True):
    """What entry.json holds. `files` are the stems in the model's order, then the residual; `created` is UTC."""

    format: int
    recipe: Recipe
    source: SourceFile
    files: dict[str, StoredFile]
    created: str
    stem_sum_residual_dbfs: float | None
    device: str
    computed_by: str
    notes: tuple[str, ...] = ()


class EntryFormat(msgspec.Struct, frozen=True):
    """The one field that every version of entry.json has."""

    format: int


class StemSet(msgspec.Struct, frozen=True):
    """A set of stems on disk: what a render, a player or a person needs of it.

    `stems` maps names to absolute paths of float WAV files of the source's rate, channels and exact length; `hashes`
    their SHA-256, with the residual's under "residual". `stem_sum_residual_dbfs` is the peak of
    source - (stems + residual), None where that is exactly zero. `reused` is true when nothing was computed. `notes` is
    what was found out about the stems when they were made.
    """

    folder: str
    model: str
    sample_rate: int
    channels: int
    frames: int
    stems: dict[str, str]
    residual: str
    hashes: dict[str, str]
    stem_sum_residual_dbfs: float | None
    device: str
    reused: bool
    notes: tuple[str, ...] = ()
    overlap: float = 0.0
    precision: Precision = "fp32"


class Listed(msgspec.Struct, frozen=True):
    """One line of `unbake store list`.

    `kind` is "stems" for a usable entry, "partial" for work to be taken up, "damaged" for what can't be used (also
    entries of an older version), "newer" for stems that a newer unbake made. `how` is passes and precision in words,
    where they are known. `days` is the time since it was last used; `in_use` when a separation holds it now.
    """

    id: str
    kind: str
    folder: str
    model: str
    source: str
    stems: tuple[str, ...]
    bytes: int
    days: float
    in_use: bool
    how: str = ""


class Pruned(msgspec.Struct, frozen=True):
    """What was removed, and how many bytes that gave back. `kept_in_use` were asked for but are being worked on."""

    removed: tuple[Listed, ...]
    bytes_freed: int
    kept_in_use: tuple[Listed, ...] = ()


class Unusable(Exception):  # noqa: N818 - a finding, not a failure: who meets it sets the entry aside
    """An entry that is there but can't be used, with the reason in words."""

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder, self.reason = folder, reason
        super().__init__(f"{folder}: {reason}")


class Store:
    """The stem store in `folder`, by default `stems` in the user's cache (`UNBAKE_CACHE`)."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder if folder is not None else places.cache() / "stems").absolute()

    def partial_folder(self, key: str) -> Path:
        """Where the work of a separation lies until it is finished."""
        return self.folder / "partial" / key

    def entry_folder(self, key: str) -> Path | None:
        """The folder of a finished set, if there is one."""
        found = sorted(folder for folder in self._entry_folders() if folder.name.endswith(f"-{key}"))
        return found[0] if found else None

    def find(self, recipe: Recipe) -> StemSet | None:
        """The set made by this recipe, if it is here and whole; its age then starts anew.

        Raises `Unusable` when it is damaged or of an older version, and UnbakeError when a newer unbake made it: that
        one is not ours to set aside.
        """
        folder = self.entry_folder(recipe.key())
        if folder is None:
            return None
        entry = self._checked(folder)
        if entry.recipe != recipe:
            raise Unusable(folder, "its entry.json is about other stems")
        # A store on a read-only disk is still good to read.
        with contextlib.suppress(OSError):
            os.utime(folder / ENTRY)
        return stem_set(folder, entry, reused=True)

    def find_superset(self, recipe: Recipe) -> StemSet | None:
        """A whole set of the same recipe but for more stems, from which the wanted ones can be taken."""
        wanted = set(recipe.stems)
        for folder in self._entry_folders():
            # Entries that can't be used are the business of whoever asks for them by their key.
            with contextlib.suppress(Unusable, UnbakeError):
                entry = self._read(folder)
                same = msgspec.structs.replace(entry.recipe, stems=recipe.stems) == recipe
                if same and wanted < set(entry.recipe.stems):
                    self._check_files(folder, entry)
                    return stem_set(folder, entry, reused=True)
        return None

    def recipe_of(self, stems: StemSet) -> Recipe:
        """What made a set that is in the store. Raises UnbakeError when its entry can't be read any more."""
        try:
            return self._read(Path(stems.folder)).recipe
        except Unusable as unusable:
            raise UnbakeError(unusable.reason, where=unusable.folder) from unusable

    def set_aside(self, folder: Path) -> Path:
        """Moves an entry that can't be used to `damaged`, where `prune` finds it."""
        target = self.folder / "damaged" / f"{folder.name}-{secrets.token_hex(KEY_DIGITS // 2)}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            return folder.rename(target)
        except OSError as error:
            raise os_error(error, folder) from error

    def publish(self, folder: Path, entry: Entry) -> StemSet:
        """Puts a folder of finished files into the store by one rename. The caller holds the lock of the key."""
        key = entry.recipe.key()
        target = self.folder / f"{readable(Path(entry.source.name).stem)}-{readable(entry.recipe.model)}-{key}"
        write_bytes_atomically(folder / ENTRY, msgspec.json.format(msgspec.json.encode(entry), indent=2), force=True)
        try:
            folder.rename(target)
            sync(self.folder)
        except OSError as error:
            raise os_error(error, target) from error
        return stem_set(target, entry, reused=False)

    def lock(self, key: str) -> Lock:
        """The lock of a key, not yet taken."""
        return Lock(self.folder / "locks" / f"{key}.lock")

    def check_room(self, needed: int) -> None:
        """Refuses when the disk of the store has less than `needed` bytes free."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise os_error(error, self.folder) from error
        if free < needed:
            raise UnbakeError(
                f"the stem store needs {size_in_words(needed)} and {size_in_words(free)} is free",
                where=self.folder,
                remedy="make room with: unbake store prune, or set UNBAKE_CACHE to a folder on a larger disk",
            )

    def listing(self) -> list[Listed]:
        """Everything in the store, last used first."""
        lines = [self._listed(folder, "stems") for folder in self._entry_folders()]
        for kind in ("partial", "damaged"):
            lines += [self._listed(folder, kind) for folder in folders_in(self.folder / kind)]
        return sorted(lines, key=lambda line: (line.days, line.folder))

    def prune(
        self,
        *,
        keep_bytes: int | None = None,
        older_than_days: float | None = None,
        all: bool = False,  # noqa: A002 - the word of `unbake store prune --all`
        ids: Sequence[str] | None = None,
    ) -> Pruned:
        """Removes entries, and says what went and how many bytes that gave back.

        Without anything: only what is of no use, which is damaged entries, entries of older versions, and separations
        that were stopped and not taken up again. With `ids` (as listed, or their first digits): those alone. With
        `all`: everything. With `older_than_days`: also what was not used for so long. With `keep_bytes`: also the
        longest unused, until no more than so many bytes are left. What a separation is working on is never touched.
        """
        lines = self.listing()
        if ids is not None:
            chosen = [line for wanted in dict.fromkeys(ids) for line in by_id(lines, wanted)]
        else:
            days = math.inf if older_than_days is None else older_than_days
            chosen = [line for line in lines if all or line.kind in ("partial", "damaged") or line.days > days]
            if keep_bytes is not None:
                kept = [line for line in lines if line not in chosen]
                while kept and sum(line.bytes for line in kept) > keep_bytes:
                    chosen.append(kept.pop())
        removed = [line for line in chosen if self._remove(line)]
        self._sweep()
        busy = tuple(line for line in chosen if line not in removed)
        return Pruned(tuple(removed), sum(line.bytes for line in removed), busy)

    def _entry_folders(self) -> list[Path]:
        return [folder for folder in folders_in(self.folder) if re.search(rf"-[0-9a-f]{{{KEY_DIGITS}}}$", folder.name)]

    def _checked(self, folder: Path) -> Entry:
        entry = self._read(folder)
        self._check_files(folder, entry)
        return entry

    def _read(self, folder: Path) -> Entry:
        try:
            data = (folder / ENTRY).read_bytes()
            version = msgspec.json.decode(data, type=EntryFormat).format
            if version > FORMAT:
                what = f"made by another version of unbake (store format {version}, this one reads {FORMAT})"
                remedy = f"point UNBAKE_CACHE elsewhere, or remove it: unbake store prune {folder.name[-KEY_DIGITS:]}"
                raise UnbakeError(what, where=folder, remedy=remedy)
            if version < FORMAT:
                raise Unusable(folder, f"made by an older version of unbake (store format {version})")
            return msgspec.json.decode(data, type=Entry)
        except FileNotFoundError as error:
            raise Unusable(folder, f"its {ENTRY} is missing") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unusable(folder, f"its {ENTRY} is damaged: {error}") from error
        except OSError as error:
            raise os_error(error, folder) from error

    def _check_files(self, folder: Path, entry: Entry) -> None:
        """Sizes always; the hash of a file only when its time of change isn't the one it was stored with."""
        if set(entry.files) != {*entry.recipe.stems, RESIDUAL}:
            raise Unusable(folder, "its entry.json doesn't name its files")
        for name, stored in entry.files.items():
            path = folder / stored.file
            try:
                status = path.stat()
            except FileNotFoundError as error:
                raise Unusable(folder, f"{stored.file} is missing") from error
            except OSError as error:
                raise os_error(error, path) from error
            if status.st_size != stored.bytes:
                raise Unusable(folder, f"{stored.file} is {status.st_size} bytes long where {stored.bytes} were stored")
            if status.st_mtime_ns != stored.mtime_ns and sha256_file(path) != stored.sha256:
                raise Unusable(folder, f"{stored.file} was changed since it was stored ({name})")

    def _listed(self, folder: Path, kind: str) -> Listed:
        model, source, stems, how = "", "", (), ""
        try:
            if kind == "stems":
                entry = self._read(folder)
                model, source, stems = entry.recipe.model, entry.source.name, entry.recipe.stems
                how = entry.recipe.how
            elif kind == "partial":
                about = msgspec.json.decode((folder / ABOUT).read_bytes(), type=About)
                model, source, stems = about.model, about.source, about.stems
        except Unusable:
            kind = "damaged"
        except UnbakeError:
            kind = "newer"
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            # Killed before it could say what it is: its size and age are known all the same.
            source = "?"
        name = folder.name[-KEY_DIGITS:]
        in_use = kind != "damaged" and self.lock(name).is_held()
        size, days = folder_bytes(folder), days_unused(folder)
        return Listed(name, kind, str(folder), model, source, stems, size, days, in_use, how)

    def _remove(self, line: Listed) -> bool:
        """Removes what a line stands for, unless a separation holds it. Half a removal never looks like an entry."""
        lock = self.lock(line.id)
        if not lock.acquire():
            return False
        with lock:
            folder = Path(line.folder)
            trash = self.folder / f"trash.{secrets.token_hex(KEY_DIGITS // 2)}"
            try:
                folder.rename(trash)
            except FileNotFoundError:
                return False
            except OSError as error:
                raise os_error(error, folder) from error
            shutil.rmtree(trash, ignore_errors=True)
        return True

    def _sweep(self) -> None:
        """Removes what an interrupted removal left, and lock files that belong to nothing."""
        for folder in folders_in(self.folder):
            if folder.name.startswith("trash."):
                shutil.rmtree(folder, ignore_errors=True)
        known = {line.id for line in self.listing()}
        for file in sorted((self.folder / "locks").glob("*.lock")):
            lock = Lock(file)
            if file.stem not in known and lock.acquire():
                with lock:
                    file.unlink(missing_ok=True)


class About(msgspec.Struct, frozen=True):
    """What a separation that is not finished says of itself in the store's listing."""

    source: str
    model: str
    stems: tuple[str, ...]


ABOUT = "about.json"


def stem_set(folder: Path, entry: Entry, *, reused: bool) -> StemSet:
    """What an entry in a folder is to those who use it."""
    return StemSet(
        folder=str(folder),
        model=entry.recipe.model,
        sample_rate=entry.source.sample_rate,
        channels=entry.source.channels,
        frames=entry.source.frames,
        stems={name: str(folder / entry.files[name].file) for name in entry.recipe.stems},
        residual=str(folder / entry.files[RESIDUAL].file),
        hashes={name: stored.sha256 for name, stored in entry.files.items()},
        stem_sum_residual_dbfs=entry.stem_sum_residual_dbfs,
        device=entry.device,
        reused=reused,
        notes=entry.notes,
        overlap=entry.recipe.overlap,
        precision=entry.recipe.precision,
    )


def new_entry(
    recipe: Recipe,
    info: AudioInfo,
    assembled: Assembled,
    *,
    device: str,
    computed_by: str,
    notes: Sequence[str] = (),
) -> Entry:
    """The entry of files that were just assembled."""
    return Entry(
        format=FORMAT,
        recipe=recipe,
        source=SourceFile(
            name=Path(info.path).name,
            sha256=recipe.source_sha256,
            container=info.container,
            subtype=info.subtype,
            sample_rate=info.sample_rate,
            channels=info.channels,
            frames=info.frames,
            speakers=info.speakers,
        ),
        files=assembled.files,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        stem_sum_residual_dbfs=assembled.stem_sum_residual_dbfs,
        device=device,
        computed_by=computed_by,
        notes=tuple(notes),
    )


def by_id(lines: Sequence[Listed], wanted: str) -> list[Listed]:
    """The lines of one id, given whole or by its first digits. Refuses what fits none, or several."""
    found = [line for line in lines if wanted and line.id.startswith(wanted)]
    if not found:
        raise UnbakeError(f'nothing in the store has the id "{wanted}"', remedy="see: unbake store list")
    if len({line.id for line in found}) > 1:
        raise UnbakeError(f'several entries have an id that begins with "{wanted}"', remedy="give more digits")
    return found


def readable(name: str) -> str:
    """A name as part of a folder's name: harmless characters, 40 at most."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")[:40] or "audio"


def folders_in(folder: Path) -> list[Path]:
    """The folders directly in a folder, by name; none when there is no such folder."""
    try:
        return sorted(found for found in folder.iterdir() if found.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise os_error(error, folder) from error


def days_unused(folder: Path) -> float:
    """Days since anything in the folder was written or the entry was last used."""
    now = datetime.datetime.now(datetime.UTC).timestamp()
    times = [folder.stat().st_mtime, *(file.stat().st_mtime for file in folder.iterdir())]
    return max(0.0, (now - max(times)) / SECONDS_PER_DAY)
