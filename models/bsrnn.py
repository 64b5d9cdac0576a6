"""BSRNN: the spectrum cut into bands, recurrent layers along time and along the bands, masks for each band.

After Y. Luo and J. Yu, "Music Source Separation with Band-Split RNN", IEEE/ACM Transactions on Audio, Speech, and
Language Processing 31, 2023; with several stems, overlapping bands and the names of tensors after K. Watcharasupat et
al., "A Generalized Bandsplit Neural Network for Cinematic Audio Source Separation" (Bandit), IEEE Open Journal of
Signal Processing 5, 2024. Written from the papers and from the names and shapes of the published tensors.

Both sides of a stereo sound are heard one by one, as these networks were trained.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn

from core.errors import UnbakeError
from models import gru
from models.building import config_of, fill, only, where_of
from models.stft import Stft

if TYPE_CHECKING:
    from models.registry import Card
    from models.weights import Tensors

Count = Annotated[int, Meta(ge=1, le=4096)]
Size = Annotated[int, Meta(ge=2, le=65_536)]

STEPS_HZ = {
    "vocals": ((1000, 100), (4000, 250), (8000, 500), (16_000, 1000), (20_000, 2000)),
    "bass": ((500, 50), (1000, 100), (4000, 500), (8000, 1000), (16_000, 2000)),
    "drums": ((1000, 50), (2000, 100), (4000, 250), (8000, 500), (16_000, 1000)),
}
"""The paper's bands, from 0 Hz up: until which frequency they are how wide. What is above is one band."""
NAMES = {
    **dict.fromkeys(("dnr:speech", "dnr:vox7", "musdb:vocals", "musdb:vox7", "musdb:other"), "vocals"),
    "musdb:bass": "bass",
    "musdb:drums": "drums",
}
"""Public names of the paper's bands."""
BandNames = Literal[
    "musical", "dnr:speech", "dnr:vox7", "musdb:vocals", "musdb:vox7", "musdb:other", "musdb:bass", "musdb:drums"
]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The network's parameters under their public names, with the defaults of Bandit's program.

    `band_specs` are `n_bands` overlapping bands of equal width on a musical scale, or the paper's for a source;
    `fs` in Hz is the sample rate they are reckoned for. `n_sqm_modules` pairs of recurrent layers of `rnn_type`,
    `rnn_dim` wide in each direction, hear `emb_dim` features of a band; `mlp_dim` is the width before the masks.
    `n_fft`, `win_length` and `hop_length` are in samples. `stems` are public names, under which the tensors are found,
    in the order of the card's stems. The last group are options of which no public network uses another value, and
    one, `freeze_encoder`, that steers training.
    """

    band_specs: BandNames
    stems: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    n_bands: Annotated[int, Meta(ge=2, le=1024)] | None = None
    fs: Annotated[int, Meta(ge=8000, le=192_000)] = 44_100
    n_sqm_modules: Annotated[int, Meta(ge=1, le=64)] = 12
    emb_dim: Count = 128
    rnn_dim: Count = 256
    rnn_type: Literal["GRU", "LSTM"] = "LSTM"
    mlp_dim: Count = 512
    n_fft: Annotated[int, Meta(ge=16, le=65_536, multiple_of=2)] = 2048
    win_length: Size = 2048
    hop_length: Size = 512
    normalized: bool = True
    pad_mode: Literal["constant", "reflect"] = "constant"

    in_channel: Any = 1
    require_no_overlap: Any = False
    require_no_gap: Any = True
    normalize_channel_independently: Any = False
    treat_channel_as_feature: Any = True
    bidirectional: Any = True
    hidden_activation: Any = "Tanh"
    hidden_activation_kwargs: Any = None
    complex_mask: Any = True
    use_freq_weights: Any = True
    mult_add_mask: Any = False
    normalize_input: Any = False
    cond_dim: Any = 0
    window_fn: Any = "hann_window"
    wkwargs: Any = None
    power: Any = None
    center: Any = True
    onesided: Any = True
    freeze_encoder: bool = False


SETTLED = Config.__struct_fields__[Config.__struct_fields__.index("in_channel") : -1]
"""Options that can only be what they are by default."""


Bands = list[tuple[int, int]]
"""The first bin of each band and the one after its last."""


def musical_bands(count: int, n_fft: int, rate: int) -> Bands:
    """Bands whose middles lie evenly on a musical scale, from the first bin's frequency to `rate` / 2.

    The middles are no lower than MIDI note 0. Each band goes from its middle down and up by an n-th of the whole
    interval, to the whole bin beyond; the first takes all below it and the last all above.
    """
    bin_hz, top_hz = rate / n_fft, rate / 2
    span = (top_hz / bin_hz) ** (1 / count)
    lowest, highest = (69 + 12 * math.log2(hertz / 440) for hertz in (bin_hz, top_hz))
    notes = [max(0.0, lowest) + (highest - max(0.0, lowest)) * n / (count - 1) for n in range(count)]
    middles = [440 * 2 ** ((note - 69) / 12) / bin_hz for note in notes]
    bins = n_fft // 2 + 1
    starts = [0, *(min(bins, math.floor(middle / span)) for middle in middles[1:])]
    stops = [*(min(bins, math.ceil(middle * span) + 1) for middle in middles[:-1]), bins]
    return list(zip(starts, stops, strict=True))


def paper_bands(source: str, n_fft: int, rate: int) -> Bands:
    """The bands that the paper gives for a source, side by side."""
    edges = [0]
    for until_hz, width_hz in STEPS_HZ[source]:
        until, width = (round(hertz * n_fft / rate) for hertz in (until_hz, width_hz))
        edges += [*range(edges[-1] + width, until, max(1, width)), until]
    return list(pairwise([*edges, n_fft // 2 + 1]))


def bands_of(config: Config) -> Bands:
    """The bands of a configuration whose `n_bands` is there if it is needed."""
    if config.band_specs == "musical":
        return musical_bands(config.n_bands or 0, config.n_fft, config.fs)
    return paper_bands(NAMES[config.band_specs], config.n_fft, config.fs)


def shares(bands: Bands, bins: int) -> Tensor:
    """What the mask of each band counts in a bin, `[bins]`: all the same, where several overlap."""
    counts = torch.zeros(bins)
    for start, stop in bands:
        counts[start:stop] += 1
    return 1 / counts


class BandFeatures(nn.Module):
    """The features of one band's spectrum."""

    def __init__(self, bins: int, features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2 * bins)
        self.fc = nn.Linear(2 * bins, features)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, time, 2 bins]`, the real parts first, to `[batch, time, features]`."""
        return self.fc(self.norm(x))


class BandSplit(nn.Module):
    """The features of all bands."""

    def __init__(self, bands: Bands, features: int) -> None:
        super().__init__()
        self.bands = bands
        self.norm_fc_modules = nn.ModuleList(BandFeatures(stop - start, features) for start, stop in bands)

    def forward(self, spectra: Tensor) -> Tensor:
        """Complex64 `[batch, time, bins]` to `[batch, time, bands, features]`."""
        parts = torch.view_as_real(spectra).transpose(2, 3)
        return torch.stack(
            [
                layer(parts[..., start:stop].flatten(2))
                for layer, (start, stop) in zip(self.norm_fc_modules, self.bands, strict=True)
            ],
            dim=2,
        ).float()


class Recurrent(nn.Module):
    """A recurrent layer around a short cut."""

    def __init__(self, kind: str, features: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.rnn = (nn.GRU if kind == "GRU" else nn.LSTM)(features, hidden, bidirectional=True)
        self.fc = nn.Linear(2 * hidden, features)

    def forward(self, x: Tensor) -> Tensor:
        """`[steps, batch, features]` to the same."""
        normed = self.norm(x)
        heard = gru.run(self.rnn, normed) if isinstance(self.rnn, nn.GRU) else self.rnn(normed)[0]
        return x + self.fc(heard)


class TimeAndBands(nn.Module):
    """Recurrent layers along time and along the bands in turn."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.seqband = nn.ModuleList(
            Recurrent(config.rnn_type, config.emb_dim, config.rnn_dim) for _ in range(2 * config.n_sqm_modules)
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[time, batch, bands, features]` to the same."""
        for layer in self.seqband:
            x = layer(x.flatten(1, 2)).unflatten(1, x.shape[1:3]).transpose(0, 2)
        return x


class BandMask(nn.Module):
    """The complex mask of one band, from its features."""

    def __init__(self, bins: int, features: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.hidden = nn.Sequential(nn.Linear(features, hidden), nn.Tanh())
        self.output = nn.Sequential(nn.Linear(hidden, 4 * bins), nn.GLU())

    def forward(self, x: Tensor) -> Tensor:
        """`[..., features]` to `[..., bins, 2]`, real and imaginary parts."""
        return self.output(self.hidden(self.norm(x))).unflatten(-1, (-1, 2))


class Masks(nn.Module):
    """The mask of one stem."""

    def __init__(self, bands: Bands, features: int, hidden: int) -> None:
        super().__init__()
        self.bands = bands
        self.norm_mlp = nn.ModuleList(BandMask(stop - start, features, hidden) for start, stop in bands)

    def forward(self, x: Tensor) -> Tensor:
        """`[bands, batch, time, features]` to the sum of the bands' masks, complex64 `[batch, time, bins]`."""
        masks = x.new_zeros((*x.shape[1:3], self.bands[-1][1], 2), dtype=torch.float32)
        for features, layer, (start, stop) in zip(x, self.norm_mlp, self.bands, strict=True):
            masks[:, :, start:stop] += layer(features)
        return torch.view_as_complex(masks)


class Core(nn.Module):
    """From a spectrum to the masks of the stems."""

    def __init__(self, config: Config, bands: Bands, stems: tuple[str, ...]) -> None:
        super().__init__()
        self.band_split = BandSplit(bands, config.emb_dim)
        self.tf_model = TimeAndBands(config)
        self.mask_estim = nn.ModuleDict({name: Masks(bands, config.emb_dim, config.mlp_dim) for name in stems})

    def forward(self, spectra: Tensor) -> Tensor:
        """Complex64 `[batch, time, bins]` to masks `[stems, batch, time, bins]`."""
        features = self.tf_model(self.band_split(spectra).transpose(0, 1))
        features = features.permute(2, 1, 0, 3).contiguous()
        return torch.stack([masks(features) for masks in self.mask_estim.values()])


class Bsrnn(nn.Module):
    """Stems of a chunk by complex masks, each side for itself.

    Maps float32 `[batch, 2, frames]` to `[batch, stems, 2, frames]`.
    """

    share: Tensor

    def __init__(self, config: Config, stems: tuple[str, ...]) -> None:
        super().__init__()
        bands = bands_of(config)
        self.bsrnn = Core(config, bands, stems)
        self.stft = Stft(
            config.n_fft,
            config.hop_length,
            length=config.win_length,
            normalized=config.normalized,
            pad_mode=config.pad_mode,
        )
        self.register_buffer("share", shares(bands, self.stft.bins), persistent=False)

    def forward(self, mix: Tensor) -> Tensor:
        """`[batch, 2, frames]` to `[batch, stems, 2, frames]`; the class says more."""
        spectra = self.stft(mix).flatten(0, 1).transpose(1, 2)
        masked = self.bsrnn(spectra) * (spectra * self.share)
        sound = self.stft.inverse(masked.transpose(2, 3), mix.shape[2])
        return sound.unflatten(1, mix.shape[:2]).transpose(0, 1)


def refuse_impossible(config: Config, card: Card) -> None:
    """Raises UnbakeError for options that are not supported, and for numbers that fit no network, or not the card."""
    where = where_of(card)
    for name, settled in zip(SETTLED, Config.__struct_defaults__[-len(SETTLED) - 1 : -1], strict=True):
        if getattr(config, name) != settled:
            raise UnbakeError(f"config.{name}: only {settled!r} is supported", where=where)
    names = config.stems or card.stems
    if len(names) != len(card.stems):
        raise UnbakeError(f"stems: {len(card.stems)} where config.stems names {len(names)}", where=where)
    problems = {
        "stems: a name stands there twice": len(set(names)) != len(names),
        "stems: not a name": not all(
            re.fullmatch(r"[\w:+-]+", name) and not hasattr(nn.ModuleDict, name) for name in names
        ),
        "n_bands: missing, which musical bands need": config.band_specs == "musical" and config.n_bands is None,
        "win_length: more than n_fft": config.win_length > config.n_fft,
        "hop_length: more than half of win_length leaves samples out": 2 * config.hop_length > config.win_length,
    }
    for problem, found in problems.items():
        if found:
            raise UnbakeError(f"config.{problem}", where=where)
    bands = bands_of(config)
    gaps = any(later[0] > earlier[1] for earlier, later in pairwise(bands))
    if gaps or any(start >= stop for start, stop in bands) or bands[-1][1] > config.n_fft // 2 + 1:
        raise UnbakeError(f"config.n_fft: {config.n_fft} is too short for these bands at {config.fs} Hz", where=where)


FREQ_WEIGHTS = re.compile(r".*\.freq_weights/(\d+)")


def check_shares(network: Bsrnn, tensors: Tensors, where: str) -> None:
    """Refuses weights whose own record of what each band counts is not what the network reckons with."""
    bands = network.bsrnn.band_split.bands
    for name, tensor in tensors.items():
        found = FREQ_WEIGHTS.fullmatch(name)
        if found is None:
            continue
        expected = network.share[slice(*bands[int(found[1])])] if int(found[1]) < len(bands) else None
        if expected is None or expected.shape != tensor.shape or not torch.allclose(expected, tensor.float()):
            raise UnbakeError(f"the weights are not this network's: {name} is of other bands", where=where)


def build(card: Card, files: list[Tensors]) -> Bsrnn:
    """The network of a card."""
    config, where = config_of(card, Config), where_of(card)
    refuse_impossible(config, card)
    network = Bsrnn(config, config.stems or card.stems)
    tensors = only(files, card)
    fill(network, tensors, where, ignore=rf"i?stft\.window|{FREQ_WEIGHTS.pattern}")
    check_shares(network, tensors, where)
    return network
