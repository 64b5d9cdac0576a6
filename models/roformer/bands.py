"""Frequency bands: which bins make one, how a spectrum becomes features, and how features become masks.

Columns of a spectrum are its bins, in each bin the channels, in each channel the real and the imaginary part. A band
is a run of bins with layers of its own. They are stored in groups of bands of about the same width, padded with zeros
to the widest: a GPU computes a group in one call, a CPU one band after the other, whose values then stay in its cache.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

WASTE = 1.25
"""How many columns a group may have with padding, for each that its bands have."""

Ranges = tuple[tuple[int, int], ...]
"""First bin and last bin + 1 of each band."""


def consecutive(bins: tuple[int, ...]) -> Ranges:
    """Bands of so many bins side by side, from the lowest bin up."""
    stops = np.cumsum(bins).tolist()
    return tuple((stop - count, stop) for count, stop in zip(bins, stops, strict=True))


def mels(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequencies on the scale of M. Slaney's Auditory Toolbox: linear up to 1 kHz, logarithmic above."""
    above = 15.0 + 27.0 / np.log(6.4) * np.log(np.maximum(hertz, 1000.0) / 1000.0)
    return np.where(hertz < 1000.0, hertz * 0.015, above)


def hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `mels`."""
    return np.where(mels < 15.0, mels / 0.015, 1000.0 * np.exp(np.log(6.4) / 27.0 * (mels - 15.0)))


def mel_bands(count: int, n_fft: int, rate: int) -> Ranges:
    """The bins under each of `count` triangles that stand evenly on the mel scale from 0 Hz to `rate` / 2.

    A triangle goes from the middle of the band below to the middle of the one above. Raises ValueError when a band
    would have no bin, or a bin no band.
    """
    edges = hertz(np.linspace(0.0, float(mels(np.array(rate / 2.0))), count + 2))
    bins = np.arange(n_fft // 2 + 1) * (rate / n_fft)
    inside = (bins > edges[:-2, None]) & (bins < edges[2:, None])
    # the first and the last bin lie on the outermost edges
    inside[0, 0] = inside[-1, -1] = True
    if not (inside.any(axis=0).all() and inside.any(axis=1).all()):
        raise ValueError(f"{count} bands are too many for transforms of {n_fft} samples")
    return tuple((int(row.argmax()), row.size - int(row[::-1].argmax())) for row in inside)


class Group(NamedTuple):
    """Bands stored together: their numbers and how many columns each has, the widest last."""

    bands: tuple[int, ...]
    widths: tuple[int, ...]


def grouped(widths: list[int]) -> list[Group]:
    """All bands, narrow ones first, in groups that padding makes at most `WASTE` times as large."""
    groups: list[list[int]] = []
    for band in sorted(range(len(widths)), key=lambda band: widths[band]):
        group = [*groups[-1], band] if groups else []
        if group and widths[band] * len(group) <= WASTE * sum(widths[other] for other in group):
            groups[-1] = group
        else:
            groups.append([band])
    return [Group(tuple(group), tuple(widths[band] for band in group)) for group in groups]


class Place(NamedTuple):
    """Where a published tensor is stored: in which parameter, where in it, and what shape it is published in."""

    parameter: str
    where: tuple[int | slice, ...]
    shape: tuple[int, ...]


class PerBand(nn.Module):
    """Layers that every band has of its own, stored by group; `state_dict` knows them by their published names."""

    def __init__(self, ranges: Ranges, per_bin: int) -> None:
        super().__init__()
        self.columns = [range(start * per_bin, stop * per_bin) for start, stop in ranges]
        self.groups = grouped([len(columns) for columns in self.columns])
        self.total = self.columns[-1].stop
        self.places: dict[str, Place] = {}
        for number, group in enumerate(self.groups):
            self.constant(f"bands_{number}", torch.tensor(group.bands))

    def constant(self, name: str, value: Tensor) -> None:
        """Keeps a tensor that moves between devices with the network and is in no checkpoint."""
        self.register_buffer(name, value, persistent=False)

    def parts(self, device: torch.device) -> Iterator[tuple[int, slice, int]]:
        """What one call computes: the group, which of its bands, and the columns that these are padded to."""
        for number, group in enumerate(self.groups):
            if device.type == "cpu":
                for row, width in enumerate(group.widths):
                    yield number, slice(row, row + 1), width
            else:
                yield number, slice(0, len(group.bands)), group.widths[-1]

    def hold(self, parameter: str, *shape: int) -> None:
        """Makes room for the tensors of a group."""
        self.register_parameter(parameter, nn.Parameter(torch.zeros(shape), requires_grad=False))

    def _stored(self, place: Place) -> Tensor:
        return getattr(self, place.parameter)[place.where]

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:  # noqa: ARG002
        for name, place in self.places.items():
            destination[prefix + name] = self._stored(place).reshape(place.shape)

    def _load_from_state_dict(  # its caller in torch collects what is wrong in three lists
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],  # noqa: ARG002
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        for name, place in self.places.items():
            given, stored = state_dict.get(prefix + name), self._stored(place)
            if given is None:
                missing_keys.append(prefix + name)
            elif tuple(given.shape) != place.shape:
                error_msgs.append(f"{prefix}{name}: {tuple(given.shape)} where {place.shape} is stored")
            else:
                stored.copy_(given.reshape(stored.shape))
        if strict:
            known = {prefix + name for name in self.places}
            unexpected_keys.extend(name for name in state_dict if name.startswith(prefix) and name not in known)


class BandSplit(PerBand):
    """Features of each band from its columns, which are made equally loud in every frame first."""

    def __init__(self, dim: int, ranges: Ranges, per_bin: int) -> None:
        super().__init__(ranges, per_bin)
        self.dim = dim
        for number, (bands, widths) in enumerate(self.groups):
            self.hold(f"gamma_{number}", len(bands), widths[-1])
            self.hold(f"weight_{number}", len(bands), dim, widths[-1])
            self.hold(f"bias_{number}", len(bands), dim)
            # what a narrow band lacks is read from a column of zeros behind the others
            columns = torch.full((len(bands), widths[-1]), self.total)
            for row, (band, width) in enumerate(zip(bands, widths, strict=True)):
                columns[row, :width] = torch.tensor(self.columns[band])
                name, used = f"to_features.{band}", slice(width)
                self.places[f"{name}.0.gamma"] = Place(f"gamma_{number}", (row, used), (width,))
                self.places[f"{name}.1.weight"] = Place(f"weight_{number}", (row, slice(None), used), (dim, width))
                self.places[f"{name}.1.bias"] = Place(f"bias_{number}", (row,), (dim,))
            self.constant(f"columns_{number}", columns)
            self.constant(f"scale_{number}", torch.tensor(widths).sqrt().unsqueeze(1))

    def forward(self, spectrum: Tensor, dtype: torch.dtype) -> Tensor:
        """Columns float32 `[batch, frames, columns]` to features float32 `[batch, frames, bands, dim]`."""
        batch, frames, _ = spectrum.shape
        features = spectrum.new_empty(len(self.columns), batch * frames, self.dim)
        padded = F.pad(spectrum.flatten(0, 1), (0, 1))
        for number, part, width in self.parts(spectrum.device):
            columns = getattr(self, f"columns_{number}")[part, :width]
            gamma = getattr(self, f"gamma_{number}")[part, :width] * getattr(self, f"scale_{number}")[part]
            x = F.normalize(padded[:, columns], dim=-1).mul_(gamma).transpose(0, 1)
            weight, bias = getattr(self, f"weight_{number}")[part, :, :width], getattr(self, f"bias_{number}")[part]
            bands = getattr(self, f"bands_{number}")[part]
            features.index_copy_(0, bands, linear(x.to(dtype), weight.to(dtype), bias.to(dtype)).float())
        return features.unflatten(1, (batch, frames)).permute(1, 2, 0, 3)


class MaskEstimator(PerBand):
    """One stem's mask of every column: the mean of what the bands say that the column lies in."""

    sources: Tensor
    share: Tensor

    def __init__(self, sizes: list[int], ranges: Ranges, per_bin: int) -> None:
        """`sizes` are the inputs of each linear layer: the features first, then the hidden layers."""
        super().__init__(ranges, per_bin)
        self.hidden = list(pairwise(sizes))
        for number, (bands, widths) in enumerate(self.groups):
            for layer, (inputs, outputs) in enumerate(self.hidden):
                self.hold(f"weight_{number}_{layer}", len(bands), outputs, inputs)
                self.hold(f"bias_{number}_{layer}", len(bands), outputs)
            # a value and a gate for each column
            self.hold(f"weight_{number}_last", len(bands), 2, widths[-1], sizes[-1])
            self.hold(f"bias_{number}_last", len(bands), 2, widths[-1])
            for row, (band, width) in enumerate(zip(bands, widths, strict=True)):
                name = f"to_freqs.{band}.0"
                for layer, (inputs, outputs) in enumerate(self.hidden):
                    self.places[f"{name}.{2 * layer}.weight"] = Place(
                        f"weight_{number}_{layer}", (row,), (outputs, inputs)
                    )
                    self.places[f"{name}.{2 * layer}.bias"] = Place(f"bias_{number}_{layer}", (row,), (outputs,))
                last, used = f"{name}.{2 * len(self.hidden)}", (row, slice(None), slice(width))
                self.places[f"{last}.weight"] = Place(f"weight_{number}_last", used, (2 * width, sizes[-1]))
                self.places[f"{last}.bias"] = Place(f"bias_{number}_last", used, (2 * width,))
        sources, share = self.overlaps()
        self.constant("sources", sources)
        self.constant("share", share)

    def overlaps(self) -> tuple[Tensor, Tensor]:
        """Where each column's masks are among those of all bands, in the order of the groups, and 1 / how many.

        The first is int64 `[most, columns]`; columns in fewer bands than the `most` point to a zero behind all masks.
        """
        found: list[list[int]] = [[] for _ in range(self.total)]
        behind = 0
        for group in self.groups:
            for band in group.bands:
                for place, column in enumerate(self.columns[band]):
                    found[column].append(behind + place)
                behind += len(self.columns[band])
        most = max(len(places) for places in found)
        sources = torch.tensor([places + [behind] * (most - len(places)) for places in found]).T.contiguous()
        return sources, torch.tensor([1.0 / len(places) for places in found])

    def forward(self, features: Tensor, dtype: torch.dtype) -> Tensor:
        """Features `[batch, frames, bands, dim]` to masks float32 `[batch, frames, columns]`."""
        batch, frames, _, dim = features.shape
        masks: list[Tensor] = []
        for number, part, width in self.parts(features.device):
            bands = getattr(self, f"bands_{number}")[part]
            x = features.index_select(2, bands).permute(2, 0, 1, 3).reshape(-1, batch * frames, dim).to(dtype)
            for layer in range(len(self.hidden)):
                weight, bias = (getattr(self, f"{kind}_{number}_{layer}")[part] for kind in ("weight", "bias"))
                x = linear(x, weight.to(dtype), bias.to(dtype)).tanh_()
            weight, bias = (getattr(self, f"{kind}_{number}_last")[part, :, :width] for kind in ("weight", "bias"))
            x = F.glu(linear(x, weight.flatten(1, 2).to(dtype), bias.flatten(1, 2).to(dtype)).float(), dim=-1)
            masks += [mask[:, :used] for mask, used in zip(x, self.groups[number].widths[part], strict=True)]
        together = torch.cat([*masks, features.new_zeros(batch * frames, 1)], dim=1)
        mask = together.index_select(1, self.sources[0])
        for source in self.sources[1:]:
            mask += together.index_select(1, source)
        return mask.mul_(self.share).unflatten(0, (batch, frames))


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`[bands, rows, inputs]` through each band's own layer: `[bands, rows, outputs]`."""
    return torch.baddbmm(bias.unsqueeze(1), x, weight.mT)
