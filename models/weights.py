"""Files of weights: where they lie, whether they are the pinned ones, and the arrays in them.

Weights are data. A file is hashed before it is parsed, and the parser builds numeric arrays and nothing else: a file
that would run code is refused. Nothing is imported here that listing models could do without.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import pickle
import pickletools
import re
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NoReturn
from urllib.parse import unquote

import msgspec
from msgspec import Meta

from core import places
from core.errors import UnbakeError, os_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import torch

Tensors = dict[str, "torch.Tensor"]
"""Tensors of one file of weights by their names, on the CPU; of large files they are views of the file itself."""
INNER = ("state_dict", "state", "model_state_dict", "model", "ema_model_state_dict")
"""Under which name training programs keep the network's tensors, beside the optimiser's and the like."""


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of weights, pinned by size and hash.

    `url` is where it comes from: `https://...`, `package:NAME/path` for a file that an installed Python package
    carries, or `file:path`, which may begin at UNBAKE_HOME. `sha256` is in lower-case hex, `bytes` the exact size,
    `format` one of `FORMATS`.
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
        return places.home() / Path(rest).expanduser()
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
    return places.home() / own_place(url, sha256)


def own_place(name: str, sha256: str) -> Path:
    """Where a file of weights lies below UNBAKE_HOME; `name` is a file's or an address.

    The hash is in it: two cards may pin different files that their sites call the same.
    """
    last = unquote(name.partition("?")[0].partition("#")[0]).rstrip("/").rpartition("/")[2]
    return Path("weights") / f"{sha256[:16]}-{re.sub(r'[^A-Za-z0-9._+-]', '_', last)[-80:]}"


def verified(weights: Weights, *, remedy: str | None = None) -> Path:
    """Where the file lies, after its size and SHA-256 were found to be those of the card."""
    path = weights.path()
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size != weights.bytes:
                what = f"the weights are {size} bytes long where the card says {weights.bytes}"
                raise UnbakeError(what, where=path, remedy=remedy)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise UnbakeError("the weights are not on this machine", where=path, remedy=remedy) from error
    except OSError as error:
        raise os_error(error, path) from error
    if digest != weights.sha256:
        raise UnbakeError("the weights are corrupt: their SHA-256 is not the card's", where=path, remedy=remedy)
    return path


def read(weights: Weights, *, remedy: str | None = None) -> Tensors:
    """The tensors of a file of weights that is the card's."""
    return parse(verified(weights, remedy=remedy), weights.format)


def parse(path: Path, file_format: str) -> Tensors:
    """The tensors in a file of one of the `FORMATS`; refuses what is no such file, and what would run code."""
    try:
        return FORMATS[file_format](path)
    except OSError as error:
        raise os_error(error, path) from error


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


def unreadable(why: object, path: Path) -> UnbakeError:
    """The error for a file that is no file of weights, or a damaged one."""
    return UnbakeError(f"not a readable file of weights: {' '.join(str(why).split())[:200]}", where=path)


def would_run_code(what: object, path: Path) -> UnbakeError:
    """The error for a file that is a program as much as it is data."""
    return UnbakeError(f"these weights would run code: they ask for {what}", where=path, remedy="don't use this file")


def _numpy_pickle(path: Path) -> Tensors:
    """Reads what `torch.save` made of a dict of numpy arrays: a zip that holds one pickle."""
    import numpy as np
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            (inner,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(inner) as file:
                found = _ArraysOnly(file).load()
    except _ForbiddenError as error:
        raise would_run_code(error, path) from error
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise unreadable(error, path) from error
    numeric = isinstance(found, dict) and all(
        isinstance(name, str) and isinstance(array, np.ndarray) and array.dtype.kind in "fiub"
        for name, array in found.items()
    )
    if not numeric:
        raise unreadable("more in it than named arrays of numbers", path)
    return {name: torch.from_numpy(array) for name, array in found.items()}


def _safetensors(path: Path) -> Tensors:
    """Reads a safetensors file, which can hold nothing but tensors."""
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except OSError:
        raise
    except Exception as error:  # its own error class is no subclass of anything common
        raise unreadable(error, path) from error


def _torch(path: Path) -> Tensors:
    """Reads what `torch.save` made of tensors."""
    return _state(load_torch(path), path)


def load_torch(path: Path, stand_ins: Sequence[tuple[Callable[..., object], str]] = ()) -> object:
    """What `torch.save` put into a file, in the mode of `torch.load` that builds tensors and plain values only.

    `stand_ins` are further names a file may mention, each with what stands for it: `(object, "module.name")`.
    """
    import torch

    check_head(path)
    try:
        with torch.serialization.safe_globals(list(stand_ins)), warnings.catch_warnings(action="ignore"):
            # only files of today's layout (a zip) can be mapped into memory
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except OSError:
        raise
    except Exception as error:  # a damaged file may raise nearly anything
        if not zipfile.is_zipfile(path) and (asked := _asks_for(path)):
            raise would_run_code(asked, path) from error
        forbidden = re.search(r"GLOBAL ([\w.]+)|(?:function|class|type) ([\w.]+) (?:is|was) not", str(error))
        if isinstance(error, pickle.UnpicklingError) and forbidden:
            raise would_run_code(forbidden[1] or forbidden[2], path) from error
        # torch's own reason stands between two paragraphs of advice
        reason = str(error).rpartition("WeightsUnpickler error:")[2].strip()
        raise unreadable(reason.partition("\n")[0], path) from error


def check_head(path: Path) -> None:
    """Refuses what is often taken for weights by its first bytes: a web page, or an archive without its end."""
    with path.open("rb") as file:
        head = file.read(512)
    if head.lstrip()[:1] == b"<":
        raise unreadable("it is a web page", path)
    if head[:4] == b"PK\x03\x04" and not zipfile.is_zipfile(path):
        raise unreadable("its end is missing; fetch it again", path)


def _asks_for(path: Path) -> str:
    """The first name in a plain pickle that is none of torch's own tensors and storages; "" where there is none."""
    words: list[str] = []
    with path.open("rb") as file, contextlib.suppress(Exception):  # up to where it is no pickle any more
        for opcode, value, _ in pickletools.genops(file):
            name = ""
            if opcode.name in ("SHORT_BINUNICODE", "BINUNICODE", "UNICODE"):
                words.append(str(value))
            elif opcode.name == "GLOBAL":
                name = str(value).replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL":
                name = ".".join(words[-2:])
            if name and not name.startswith(("torch._utils.", "torch.", "collections.OrderedDict")):
                return name
    return ""


def _state(found: object, path: Path) -> Tensors:
    """The network's tensors in what a training program saved."""
    import torch

    while isinstance(found, dict):
        tensors = {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
        inner = next((name for name in INNER if isinstance(found.get(name), dict)), None)
        if inner is None or len(tensors) > 1:
            if tensors and all(isinstance(name, str) for name in found):
                return without_prefix(tensors)
            break
        found = found[inner]
    raise unreadable("no named tensors in it", path)


def without_prefix(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """The tensors without what data-parallel training, compilation or a trainer put before all of their names."""
    for prefix in ("module.", "_orig_mod.", "model."):
        if all(name.startswith(prefix) for name in tensors):
            return without_prefix({name.removeprefix(prefix): tensor for name, tensor in tensors.items()})
    return dict(tensors)


def _demucs(path: Path) -> Tensors:
    from models import demucs_file

    return demucs_file.read(path)


def _tensorflow(path: Path) -> Tensors:
    from models import tensorflow_checkpoint

    return tensorflow_checkpoint.read(path)


def _onnx(path: Path) -> Tensors:
    """Refuses: the networks that use such files take their paths."""
    raise unreadable("an ONNX file is a network to be run, not tensors for another", path)


FORMATS = {
    "demucs": _demucs,
    "numpy-pickle": _numpy_pickle,
    "onnx": _onnx,
    "safetensors": _safetensors,
    "tensorflow": _tensorflow,
    "torch": _torch,
}
"""Readers by the name a card gives in `format`."""
