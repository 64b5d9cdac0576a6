"""MDX-Net: one stem's spectrum from the mix's, by a network in an ONNX file.

After M. Kim, W. Choi, J. Chung, D. Lee, S. Jung, "KUIELab-MDX-Net: a two-stream neural network for music demixing",
MDX workshop 2021, as the Ultimate Vocal Remover's authors publish it. The transforms are here; the network between them
is run by onnxruntime, which comes with the extra `mdx`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from core.errors import UnbakeError, os_error
from models import protobuf
from models.building import config_of, where_of
from models.stft import Stft
from models.weights import unreadable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.registry import Card

HOP = 1024
CHANNELS = 4
"""Of the picture that the network sees: the real and imaginary parts of left, then of right."""
LOWEST = 3
"""Bins below this one are not shown to the network: so it was trained."""
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Which fields of an ONNX message hold which others, down to the tensors."""
EXTERNAL_DATA, DATA_LOCATION = 13, 14
"""The fields of a tensor that say where else its numbers are."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The parameters, under the names of the Ultimate Vocal Remover's list.

    `mdx_dim_f_set`: bins that the network sees; `mdx_dim_t_set`: the logarithm, to base 2, of its frames;
    `mdx_n_fft_scale_set`: size of the transform; `compensate`: what the stem is multiplied by. `primary_stem` and what
    begins with `is_` name the stem, which here the card does.
    """

    mdx_dim_f_set: Annotated[int, Meta(ge=4, le=32_768)]
    mdx_dim_t_set: Annotated[int, Meta(ge=3, le=14)]
    mdx_n_fft_scale_set: Annotated[int, Meta(ge=16, le=65_536)]
    compensate: Annotated[float, Meta(gt=0.0, le=10.0)] = 1.0
    primary_stem: str = ""
    is_karaoke: bool = False
    is_bv_model: bool = False
    is_bv_model_rebalanced: float = 0.0

    @property
    def frames(self) -> int:
        """Spectrogram frames of one chunk."""
        return 2**self.mdx_dim_t_set

    @property
    def chunk(self) -> int:
        """Samples of one chunk: with centred frames they make exactly so many."""
        return HOP * (self.frames - 1)


class MdxNet(nn.Module):
    """One stem of a stereo chunk: float32 `[batch, 2, config.chunk]` to `[batch, 1, 2, config.chunk]`.

    `path` is the ONNX file, which is opened again when the module goes to another device.
    """

    def __init__(self, path: Path, config: Config) -> None:
        super().__init__()
        self.path, self.config = path, config
        self.stft = Stft(config.mdx_n_fft_scale_set, HOP)
        self.session = open_session(path, torch.device("cpu"))
        self.device = torch.device("cpu")
        self.one_by_one = check_shapes(self.session, config, path)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> MdxNet:
        """What `to`, `cuda` and the like do to the module's tensors; here the session follows them."""
        super()._apply(fn, recurse)
        if self.stft.window.device != self.device:
            self.session = open_session(self.path, self.stft.window.device)
            self.device = self.stft.window.device
        return self

    def forward(self, mix: Tensor) -> Tensor:
        """`[batch, 2, chunk]` to `[batch, 1, 2, chunk]`; the class says more."""
        seen = self.config.mdx_dim_f_set
        spectra = self.stft(mix)
        picture = torch.view_as_real(spectra[..., :seen, :]).permute(0, 1, 4, 2, 3).flatten(1, 2).contiguous()
        picture[:, :, :LOWEST] = 0.0
        answer = self.answer(picture).unflatten(1, (2, 2)).permute(0, 1, 3, 4, 2)
        stem = torch.view_as_complex(F.pad(answer, (0, 0, 0, 0, 0, self.stft.bins - seen)).contiguous())
        return (self.stft.inverse(stem, mix.shape[-1]) * self.config.compensate).unsqueeze(1)

    @torch.compiler.disable(recursive=True)
    def answer(self, picture: Tensor) -> Tensor:
        """What the network makes of a picture: float32 `[batch, 4, bins, frames]` to the same, on the same device."""
        made = torch.empty_like(picture)
        if self.one_by_one:
            for one, whole in zip(picture.split(1), made.split(1), strict=True):
                self._run(one, whole)
        else:
            self._run(picture, made)
        return made

    def _run(self, picture: Tensor, made: Tensor) -> None:
        """Runs the session from one tensor's memory into another's, both contiguous."""
        binding = self.session.io_binding()
        place = (picture.device.type, picture.device.index or 0, np.float32, tuple(picture.shape))
        binding.bind_input(self.session.get_inputs()[0].name, *place, picture.data_ptr())
        binding.bind_output(self.session.get_outputs()[0].name, *place, made.data_ptr())
        if picture.device.type == "cuda":
            torch.cuda.synchronize(picture.device)  # the session has a stream of its own
        self.session.run_with_iobinding(binding)
        binding.synchronize_outputs()


def open_session(path: Path, device: torch.device) -> Any:
    """An onnxruntime session of a file on a device; it runs the file's graph and reads no other file.

    On the CPU it uses as many threads as torch. Raises UnbakeError where onnxruntime, or its part for the device, is
    missing, and for a file that is no network.
    """
    try:
        import onnxruntime
    except ImportError as error:
        what = "onnxruntime, which runs networks in ONNX files, is not installed"
        raise UnbakeError(what, where=path, remedy="install unbake with its extra: unbake[mdx]") from error
    provider = PROVIDERS.get(device.type, device.type)
    if provider not in onnxruntime.get_available_providers():
        what = f"the installed onnxruntime can't use {device.type}"
        raise UnbakeError(what, where=f"device {device}", remedy="install onnxruntime-gpu, or use --device cpu")
    refuse_external_data(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.enable_cpu_mem_arena = False  # memory goes back after each call
    options.log_severity_level = 4
    try:
        place = {"device_id": device.index or 0} if device.type == "cuda" else {}
        return onnxruntime.InferenceSession(str(path), options, providers=[(provider, place)])
    except Exception as error:  # its errors have no common class of their own
        raise unreadable(error, path) from error


def refuse_external_data(path: Path) -> None:
    """Refuses an ONNX file whose tensors lie in other files: only the one that was hashed is the one that is meant."""
    try:
        outside = _has_external_data(memoryview(path.read_bytes()), "model")
    except OSError as error:
        raise os_error(error, path) from error
    except (ValueError, RecursionError) as error:
        raise unreadable(error, path) from error
    if outside:
        what = "this network keeps its weights in other files, which nothing vouches for"
        raise UnbakeError(what, where=path, remedy="use a file that holds its weights itself")


def _has_external_data(data: memoryview, kind: str) -> bool:
    """Whether a tensor inside an ONNX message of that kind lies elsewhere."""
    for number, value in protobuf.fields(data):
        inside = INSIDE.get(kind, {}).get(number)
        if kind == "tensor" and (number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0)):
            return True
        if inside and isinstance(value, memoryview) and _has_external_data(value, inside):
            return True
    return False


def check_shapes(session: Any, config: Config, path: Path) -> bool:
    """Refuses a network of other shapes than the config says; true where it takes chunks only one by one."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or not outputs:
        raise unreadable(f"a network of {len(inputs)} inputs and {len(outputs)} outputs", path)
    batch, *given = inputs[0].shape
    expected = [CHANNELS, config.mdx_dim_f_set, config.frames]
    sizes = zip(given, expected, strict=False)
    fits = len(given) == 3 and all(one == two or not isinstance(one, int) for one, two in sizes)
    if not fits or inputs[0].type != "tensor(float)":
        what = f"the network takes {inputs[0].type} {inputs[0].shape} where its config says {['batch', *expected]}"
        raise UnbakeError(what, where=path, remedy="its card doesn't fit the network")
    if isinstance(batch, int) and batch != 1:
        raise unreadable(f"a network that takes {batch} chunks at a time", path)
    return isinstance(batch, int)


def build(card: Card, paths: list[Path]) -> MdxNet:
    """The network of a card, of one ONNX file."""
    where = where_of(card)
    config = config_of(card, Config)
    if len(paths) != 1:
        raise UnbakeError(f"weights: {len(paths)} files where this network has one", where=where)
    if len(card.stems) != 1:
        raise UnbakeError(f"stems: {len(card.stems)} where this network gives 1", where=where)
    if config.mdx_dim_f_set > config.mdx_n_fft_scale_set // 2 + 1:
        what = f"config.mdx_dim_f_set: {config.mdx_dim_f_set} bins of {config.mdx_n_fft_scale_set // 2 + 1}"
        raise UnbakeError(what, where=where)
    if card.chunk != config.chunk:
        what = f"chunk: {card.chunk} frames where this network hears {config.chunk}"
        raise UnbakeError(what, where=where)
    return MdxNet(paths[0], config)
