"""Files of weights: where they lie, whether they are the pinned ones, and the arrays in them.

Weights are data. A file is hashed before it is parsed, and the parser builds numeric arrays and nothing else: a file
that would run code is refused. Nothing is imported here that listing models could do without.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NoReturn

import msgspec
from msgspec import Meta

from core import places
from core.errors import UnbakeError, os_error

if TYPE_CHECKING:
    import numpy as np

Tensors = dict[str, "np.ndarray"]
"""Arrays of one file of weights by their names."""


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of weights, pinned by size and hash.

    `url` is where it comes from: `https://...`, `package:NAME/path` for a file that an installed Python package
    carries, or `file:/path`. `sha256` is in lower-case hex, `bytes` the exact size, `format` one of `FORMATS`.
    """

    url: Annotated[str, Meta(pattern=r"^(https://|package:|file:).")]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Meta(gt=0)]
    format: str

    def path(self) -> Path:
        """Where the file is on this machine, or would be once fetched."""
        return locate(self.url, self.sha256)


def locate(url: str, sha256: str) -> Path:
    """The path that belongs to a card's `url`: in an installed package, a given file, or fetched below UNBAKE_HOME."""
    kind, _, rest = url.partition(":")
    if kind == "file":
        return Path(rest).expanduser()
    if kind == "package":
        package, _, inside = rest.partition("/")
        # find_spec of a top-level name looks the package up without running it
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise UnbakeError(
                f"the Python package {package}, which carries these weights, is not installed",
                where=url,
                remedy=f"install {package} into unbake's environment",
            )
        return Path(next(iter(spec.submodule_search_locations))) / inside
    # the hash in the name: two cards may pin different files that their sites call the same
    return places.home() / "weights" / f"{sha256[:16]}-{url.rsplit('/', 1)[-1]}"


def read(weights: Weights, *, remedy: str | None = None) -> Tensors:
    """The arrays of a file of weights, after its size and SHA-256 were found to be those of the card."""
    path = weights.path()
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UnbakeError("the weights are not on this machine", where=path, remedy=remedy) from error
    except OSError as error:
        raise os_error(error, path) from error
    if len(data) != weights.bytes:
        what = f"the weights are {len(data)} bytes long where the card says {weights.bytes}"
        raise UnbakeError(what, where=path, remedy=remedy)
    if hashlib.sha256(data).hexdigest() != weights.sha256:
        raise UnbakeError("the weights are corrupt: their SHA-256 is not the card's", where=path, remedy=remedy)
    return FORMATS[weights.format](data, path)


class _Only:
    """Stands for the class numpy.ndarray inside a pickle: a name to compare with, not a thing to call."""


_NDARRAY = _Only()


def _empty_array(kind: object, _shape: object, _code: object) -> np.ndarray:
    import numpy as np

    if kind is not _NDARRAY:
        raise pickle.UnpicklingError("an array of an unknown class")
    return np.ndarray((0,), dtype=np.uint8)


def _dtype(code: object, *flags: object) -> np.dtype[Any]:
    import numpy as np

    if not isinstance(code, str) or code[:1] not in "fiub":
        raise pickle.UnpicklingError(f"an array of {code!r}, which are not numbers")
    return np.dtype(code, *flags)  # type: ignore[call-overload]


def _latin1(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("bytes in an unknown encoding")
    return text.encode("latin1")


class _ArraysOnly(pickle.Unpickler):
    """Builds dicts of numeric numpy arrays. Every global a pickle may name is replaced by a harmless one of ours."""

    ALLOWED: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): _empty_array,
        ("numpy._core.multiarray", "_reconstruct"): _empty_array,
        ("numpy", "ndarray"): _NDARRAY,
        ("numpy", "dtype"): _dtype,
        ("_codecs", "encode"): _latin1,
        ("collections", "OrderedDict"): dict,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.ALLOWED[module, name]
        except KeyError:
            raise _ForbiddenError(f"{module}.{name}") from None

    def persistent_load(self, pid: object) -> NoReturn:
        raise _ForbiddenError(f"the external object {pid!r}")


class _ForbiddenError(pickle.UnpicklingError):
    pass


def _numpy_pickle(data: bytes, path: Path) -> Tensors:
    """Reads what `torch.save` made of a dict of numpy arrays: a zip that holds one pickle."""
    import numpy as np

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            (inner,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            found = _ArraysOnly(io.BytesIO(archive.read(inner))).load()
    except _ForbiddenError as error:
        raise UnbakeError(
            f"these weights would run code: they ask for {error}", where=path, remedy="don't use this file"
        ) from error
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise UnbakeError(f"not a readable file of weights: {error}", where=path) from error
    numeric = isinstance(found, dict) and all(
        isinstance(name, str) and isinstance(array, np.ndarray) and array.dtype.kind in "fiub"
        for name, array in found.items()
    )
    if not numeric:
        raise UnbakeError("not a readable file of weights: more in it than named arrays of numbers", where=path)
    return found


FORMATS = {"numpy-pickle": _numpy_pickle}
"""Readers by the name a card gives in `format`."""
