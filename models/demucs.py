"""Hybrid Demucs and Hybrid Transformer Demucs: networks that hear waveform and spectrogram at once.

After A. Defossez, "Hybrid spectrogram and waveform source separation", MDX workshop 2021, and S. Rouard, F. Massa,
A. Defossez, "Hybrid transformers for music source separation", ICASSP 2023. The modules come from the package
demucs-infer. Here they are built from a card, made to keep spectra and sums in single precision, and made faster where
that does not change what they compute. A bag of several networks is one network to the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import torch
from demucs_infer.demucs import DConv, LocalState
from demucs_infer.hdemucs import HDemucs
from demucs_infer.htdemucs import HTDemucs
from demucs_infer.transformer import CrossTransformerEncoder, create_2d_sin_embedding
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from core.errors import UnbakeError
from models.building import config_of, fill, where_of
from models.demucs_file import DemucsTensors
from models.stft import Stft

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from models.registry import Card
    from models.weights import Tensors

Count = Annotated[int, Meta(ge=1, le=100_000)]
Few = Annotated[int, Meta(ge=0, le=64)]
Weight = Annotated[float, Meta(ge=0.0)]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What both kinds have, under the names of the Demucs programs.

    `sources` names the outputs (none: they are the card's stems), `segment` is what the network was trained on, in
    seconds. `bag` is unbake's own: a row for each file of weights, a weight for each output; an output is the weighted
    mean of what the networks give, and a network without a say in an output needn't be asked. Without `bag` there is
    one file. `emb_smooth`, `dconv_init` and `rescale` say how training begins; nothing depends on them here.
    """

    sources: tuple[str, ...] = ()
    bag: tuple[tuple[Weight, ...], ...] = ()
    audio_channels: Literal[2] = 2
    samplerate: Count = 44_100
    segment: Annotated[float, Meta(gt=0.0, le=600.0)] = 10.0
    channels: Count = 48
    channels_time: Count | None = None
    growth: Annotated[int, Meta(ge=1, le=8)] = 2
    nfft: Annotated[int, Meta(ge=16, le=65_536)] = 4096
    wiener_iters: int = 0
    end_iters: int = 0
    wiener_residual: bool = False
    cac: bool = True
    depth: Annotated[int, Meta(ge=1, le=12)] = 4
    rewrite: bool = True
    multi_freqs: tuple[float, ...] | None = None
    multi_freqs_depth: Few = 3
    freq_emb: float = 0.2
    emb_scale: float = 10.0
    emb_smooth: bool = True
    kernel_size: Annotated[int, Meta(ge=1, le=64)] = 8
    stride: Annotated[int, Meta(ge=1, le=64)] = 4
    time_stride: Annotated[int, Meta(ge=1, le=64)] = 2
    context: Few = 1
    context_enc: Few = 0
    norm_starts: Few = 4
    norm_groups: Annotated[int, Meta(ge=1, le=64)] = 4
    dconv_mode: Literal[0, 1, 2, 3] = 1
    dconv_depth: Few = 2
    dconv_comp: Annotated[float, Meta(ge=1.0)] = 4
    dconv_init: float = 1e-4
    rescale: float = 0.1


class HybridConfig(Config, frozen=True, kw_only=True):
    """The parameters of Hybrid Demucs."""

    segment: Annotated[float, Meta(gt=0.0, le=600.0)] = 40.0
    depth: Annotated[int, Meta(ge=1, le=12)] = 6
    multi_freqs_depth: Few = 2
    hybrid: bool = True
    hybrid_old: bool = False
    dconv_attn: Few = 4
    dconv_lstm: Few = 4


class TransformerConfig(Config, frozen=True, kw_only=True):
    """The parameters of Hybrid Transformer Demucs.

    Sparse attention, which needs a package of its own, and a random shift of positions are refused; what belongs to
    them has no effect. `t_dropout`, `t_weight_decay`, `t_lr`, `t_cape_augment` and `t_cape_glob_loc_scale` are for
    training only.
    """

    dconv_comp: Annotated[float, Meta(ge=1.0)] = 8
    dconv_init: float = 1e-3
    use_train_segment: bool = True
    bottom_channels: Annotated[int, Meta(ge=0, le=16_384)] = 0
    t_layers: Few = 5
    t_emb: Literal["sin", "cape", "scaled"] = "sin"
    t_hidden_scale: Annotated[float, Meta(gt=0.0, le=64.0)] = 4.0
    t_heads: Annotated[int, Meta(ge=1, le=1024)] = 8
    t_dropout: float = 0.0
    t_max_positions: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    t_norm_in: bool = True
    t_norm_in_group: bool | Few = False
    t_group_norm: bool | Few = False
    t_norm_first: bool = True
    t_norm_out: bool = True
    t_max_period: Annotated[float, Meta(gt=0.0)] = 10_000.0
    t_weight_decay: float = 0.0
    t_lr: float | None = None
    t_layer_scale: bool = True
    t_gelu: bool = True
    t_weight_pos_embed: float = 1.0
    t_sin_random_shift: Literal[0] = 0
    t_cape_mean_normalize: bool = True
    t_cape_augment: bool = True
    t_cape_glob_loc_scale: tuple[float, ...] = (5000.0, 1.0, 1.4)
    t_sparse_self_attn: bool = False
    t_sparse_cross_attn: bool = False
    t_mask_type: str = "diag"
    t_mask_random_seed: int = 42
    t_sparse_attn_window: int = 500
    t_global_window: int = 100
    t_sparsity: float = 0.95
    t_auto_sparsity: bool = False
    t_cross_first: bool = False


class Spectra(nn.Module):
    """The transforms of both kinds of network in single precision, whatever the rest reckons in."""

    hop_length: int
    hybrid: bool = True
    hybrid_old: bool = False
    stft: Stft

    @property
    def edge(self) -> int:
        """Samples of silence or mirrored sound that belong before the first frame."""
        return self.hop_length // 2 * 3 if self.hybrid else 0

    def _spec(self, x: Tensor) -> Tensor:
        """Float32 `[batch, 2, frames]` to complex64 `[batch, 2, nfft / 2, spectrogram frames]`, one frame a hop."""
        if not self.hybrid:
            return self.stft(x)[..., :-1, :]
        frames = -(-x.shape[-1] // self.hop_length)
        padding = (self.edge, self.edge + frames * self.hop_length - x.shape[-1])
        padded = F.pad(x, padding, mode="constant" if self.hybrid_old else "reflect")
        return self.stft(padded)[..., :-1, 2 : 2 + frames]

    def _ispec(self, z: Tensor, length: int) -> Tensor:
        """Complex64 `[batch, stems, 2, nfft / 2, spectrogram frames]` to float32 `[batch, stems, 2, length]`."""
        if not self.hybrid:
            return self.stft.inverse(F.pad(z, (0, 0, 0, 1)), length)
        edge = 0 if self.hybrid_old else self.edge
        whole = self.hop_length * -(-length // self.hop_length) + 2 * edge
        return self.stft.inverse(F.pad(z, (2, 2, 0, 1)), whole)[..., edge : edge + length]

    def _mask(self, z: Tensor, m: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            return super()._mask(z, m.float())  # type: ignore[misc]


class Hybrid(Spectra, HDemucs):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Hybrid Demucs: float32 `[batch, 2, frames]`, any number of frames, to `[batch, sources, 2, frames]`."""


class HybridTransformer(Spectra, HTDemucs):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Hybrid Transformer Demucs: `[batch, 2, frames]`, at most its segment, to `[batch, sources, 2, frames]`."""


class Attention(nn.Module):
    """Attention of several heads, with the weights of an `nn.MultiheadAttention` and its calls, in one fused kernel."""

    def __init__(self, source: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads = source.num_heads
        self.in_proj_weight, self.in_proj_bias = source.in_proj_weight, source.in_proj_bias
        self.out_proj = source.out_proj

    def forward(self, query: Tensor, key: Tensor, value: Tensor, **_options: Any) -> tuple[Tensor, None]:
        """`[batch, positions, width]` each, `key` and `value` the same; the second of the pair stands for weights."""
        width = query.shape[-1]
        weight, bias = self.in_proj_weight, self.in_proj_bias
        if query is key:
            asked, keys, values = self._heads(F.linear(query, weight, bias), 3)
        else:
            (asked,) = self._heads(F.linear(query, weight[:width], bias[:width]), 1)
            keys, values = self._heads(F.linear(value, weight[width:], bias[width:]), 2)
        heard = F.scaled_dot_product_attention(asked, keys, values)
        return self.out_proj(heard.transpose(1, 2).flatten(2)), None

    def _heads(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """`[batch, positions, parts * width]` to as many parts `[batch, heads, positions, width / heads]`."""
        return x.unflatten(-1, (parts, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)


class NearAttention(nn.Module):
    """Attention whose weights fall with the distance in time, each query at its own slope, and skip the query itself.

    Distances and scores are single precision: as 16-bit floats, positions beyond 256 would be the same.
    """

    def __init__(self, source: LocalState) -> None:
        super().__init__()
        self.heads, self.decays = source.heads, source.ndecay
        self.query, self.key, self.content = source.query, source.key, source.content
        self.query_decay, self.proj = source.query_decay, source.proj

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channels, time]` to the same."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            query, key, content = (
                layer(x).unflatten(1, (self.heads, -1)).transpose(2, 3)
                for layer in (self.query, self.key, self.content)
            )
            strength = torch.arange(1, self.decays + 1, device=x.device, dtype=x.dtype) / self.decays**0.5
            decay = self.query_decay(x).unflatten(1, (self.heads, -1)).sigmoid() / 2
            slope = (decay * strength[:, None]).sum(2)
            time = torch.arange(x.shape[-1], device=x.device, dtype=x.dtype)
            distance = (time[:, None] - time).abs()
            fall = -slope[..., None] * distance
            fall = fall.masked_fill(distance == 0, -1e4)
            heard = F.scaled_dot_product_attention(query, key, content, attn_mask=fall)
            return x + self.proj(heard.transpose(2, 3).flatten(1, 2))


class Residual(nn.Module):
    """One dilated branch of a residual block, with the layers of the one it stands for.

    Those are a convolution, norm and GELU, perhaps an LSTM and attention, then a convolution over single samples, a
    norm, a GLU and a scale. That convolution is faster as a matrix product.
    """

    def __init__(self, *layers: Any) -> None:
        super().__init__()
        *first, last, norm, _gate, scale = layers
        self.first, self.norm = nn.Sequential(*first), norm
        self.weight, self.bias, self.scale = last.weight, last.bias, scale.scale

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channels, time]` to the same."""
        weight = self.weight[:, :, 0].expand(len(x), -1, -1)
        outer = F.glu(self.norm(torch.baddbmm(self.bias[:, None], weight, self.first(x))), dim=1)
        # operands of mixed types would take many times as long
        return torch.addcmul(x, self.scale[:, None].to(x.dtype), outer.to(x.dtype))


class Bottleneck(nn.Module):
    """The transformer between encoder and decoder, which knows its positions from the last time."""

    def __init__(self, source: CrossTransformerEncoder) -> None:
        super().__init__()
        self.source = source
        self.known: tuple[tuple[int, ...], Tensor, Tensor] | None = None

    def positions(self, channels: int, bins: int, frames: int, steps: int, device: torch.device) -> tuple[Tensor, ...]:
        """What is added: `[1, frames * bins, channels]` to the spectrogram and `[1, steps, channels]` to the wave."""
        asked = (channels, bins, frames, steps)
        if self.known is None or self.known[0] != asked or self.known[1].device != device:
            plane = create_2d_sin_embedding(channels, bins, frames, max_period=self.source.max_period)  # type: ignore
            line = self.source._get_pos_embedding(steps, 1, channels, device)
            weight = self.source.weight_pos_embed
            self.known = (
                asked,
                weight * plane.permute(0, 3, 2, 1).flatten(1, 2).to(device),
                weight * line.transpose(0, 1),
            )
        return self.known[1:]

    def forward(self, spectrum: Tensor, wave: Tensor) -> tuple[Tensor, Tensor]:
        """`[batch, channels, bins, frames]` and `[batch, channels, steps]` to the same."""
        _, channels, bins, frames = spectrum.shape
        plane, line = self.positions(channels, bins, frames, wave.shape[-1], wave.device)
        x = self.source.norm_in(spectrum.permute(0, 3, 2, 1).flatten(1, 2)) + plane
        y = self.source.norm_in_t(wave.transpose(1, 2)) + line
        for index, (layer, wave_layer) in enumerate(zip(self.source.layers, self.source.layers_t, strict=True)):
            if index % 2 == self.source.classic_parity:
                x, y = layer(x), wave_layer(y)
            else:
                x, y = layer(x, y), wave_layer(y, x)
        return x.unflatten(1, (frames, bins)).permute(0, 3, 2, 1), y.transpose(1, 2)


class Bag(nn.Module):
    """Several networks of the same stems whose answers are averaged, each stem with weights of its own.

    `shares` has a row for each network and a column for each stem; each column sums to 1. `wanted` holds the indexes
    of the stems somebody waits for: networks with no share in one of these are not run, and stems that are not
    wanted are silent.
    """

    def __init__(self, networks: Sequence[nn.Module], shares: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.shares = tuple(tuple(row) for row in shares)
        self.wanted: tuple[int, ...] = tuple(range(len(self.shares[0])))

    def forward(self, mix: Tensor) -> Tensor:
        """Float32 `[batch, 2, frames]` to `[batch, stems, 2, frames]`."""
        stems = mix.new_zeros(len(mix), len(self.shares[0]), *mix.shape[1:])
        for network, row in zip(self.networks, self.shares, strict=True):
            asked = [stem for stem in self.wanted if row[stem]]
            if asked:
                answer = network(mix)
                for stem in asked:
                    stems[:, stem].add_(answer[:, stem], alpha=row[stem])
        return stems


def quicken(network: Hybrid | HybridTransformer) -> None:
    """Puts faster modules in the place of a network's own; they hold the same parameters and compute the same."""
    network.stft = Stft(network.nfft, network.hop_length, normalized=True)
    for parent, name, module in _children(network):
        if isinstance(module, nn.MultiheadAttention):
            setattr(parent, name, Attention(module))
        elif isinstance(module, LocalState):
            setattr(parent, name, NearAttention(module))
        elif isinstance(module, CrossTransformerEncoder):
            setattr(parent, name, Bottleneck(module))
    for parent, name, module in _children(network):
        if isinstance(module, DConv):
            setattr(parent, name, nn.Sequential(*(Residual(*layers.children()) for layers in module.layers)))


def _children(network: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Every module inside a network, with the one it is in and its name there."""
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            yield parent, name, module


class Kind(msgspec.Struct, frozen=True):
    """An architecture: the parameters it reads, the class it makes, and what that is called in files."""

    config: type[Config]
    network: type[Hybrid | HybridTransformer]
    name: str


KINDS = {
    "hdemucs": Kind(HybridConfig, Hybrid, "HDemucs"),
    "htdemucs": Kind(TransformerConfig, HybridTransformer, "HTDemucs"),
}


def build(card: Card, tensors: list[Tensors]) -> nn.Module:
    """The network of a card; with several files of weights, the bag of them.

    What a file of the Demucs programs says of its own network completes the card's `config`, and must agree with it.
    """
    where, kind = where_of(card), KINDS[card.architecture]
    if not tensors:
        raise UnbakeError("weights: no file where this network has one", where=where)
    configs = [config_of(completed(card, given, kind), kind.config) for given in tensors]
    shares = shares_of(configs[0].bag, len(tensors), len(card.stems), where)
    networks = [make(config, kind, given, card) for config, given in zip(configs, tensors, strict=True)]
    return networks[0] if len(networks) == 1 else Bag(networks, shares)


def completed(card: Card, tensors: Tensors, kind: Kind) -> Card:
    """The card, its `config` completed by what a file says of the network in it."""
    if not isinstance(tensors, DemucsTensors):
        return card
    if tensors.kind != kind.name:
        what = f"the weights are of a network called {tensors.kind} where {card.architecture} is {kind.name}"
        raise UnbakeError(what, where=where_of(card))
    # parameters that the class does not have are left out by the programs that write these files, too
    said = {name: value for name, value in tensors.config.items() if name in kind.config.__struct_fields__}
    for name in said.keys() & card.config.keys():
        if _plain(said[name]) != _plain(card.config[name]):
            what = f"config.{name}: {card.config[name]} where the file of weights says {said[name]}"
            raise UnbakeError(what, where=where_of(card))
    return msgspec.structs.replace(card, config={**said, **card.config})


def _plain(value: object) -> object:
    """A value for comparing: tuples as lists, and an empty list as the None that means the same."""
    return [_plain(inner) for inner in value] or None if isinstance(value, list | tuple) else value


def shares_of(bag: tuple[tuple[float, ...], ...], files: int, stems: int, where: str) -> tuple[tuple[float, ...], ...]:
    """The rows of `bag` with every column divided by its sum; equal shares when there is no `bag`."""
    rows = bag or ((1.0,) * stems,) * files
    if len(rows) != files or any(len(row) != stems for row in rows):
        what = f"config.bag: {len(rows)} rows of {sorted({len(row) for row in rows})} weights"
        raise UnbakeError(f"{what} where there are {files} files of weights and {stems} stems", where=where)
    sums = [sum(column) for column in zip(*rows, strict=True)]
    if not all(sums):
        raise UnbakeError(f"config.bag: no network gives the stem of column {sums.index(0) + 1}", where=where)
    return tuple(tuple(weight / total for weight, total in zip(row, sums, strict=True)) for row in rows)


def make(config: Config, kind: Kind, tensors: Tensors, card: Card) -> Hybrid | HybridTransformer:
    """One network with its tensors."""
    where = where_of(card)
    check(config, card)
    parameters: dict[str, Any] = {**msgspec.structs.asdict(config), "sources": list(config.sources or card.stems)}
    del parameters["bag"]
    try:
        with torch.device("meta"):  # nothing is drawn by chance only to be thrown away
            network = kind.network(**parameters)
    except (ArithmeticError, AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\\n")[0] or type(error).__name__
        raise UnbakeError(f"config: no network has these parameters together: {reason}", where=where) from error
    network.to_empty(device="cpu")
    fill(network, tensors, where)
    quicken(network)
    return network


def check(config: Config, card: Card) -> None:
    """Refuses a config that does not go with the rest of the card, or that asks for what is not here."""
    where, sources = where_of(card), config.sources or card.stems
    if len(sources) != len(card.stems):
        raise UnbakeError(f"stems: {len(card.stems)} where the network gives {len(sources)}", where=where)
    for source, stem in zip(sources, card.stems, strict=True):
        if source != stem and source in card.stems:
            what = f"stems: {', '.join(card.stems)} where the network gives {', '.join(sources)}, in this order"
            raise UnbakeError(what, where=where)
    if config.samplerate != card.sample_rate:
        what = f"config.samplerate: {config.samplerate} where sample_rate is {card.sample_rate}"
        raise UnbakeError(what, where=where)
    if card.chunk < config.nfft:
        raise UnbakeError(f"chunk: {card.chunk} frames where this network takes {config.nfft} or more", where=where)
    if config.dconv_depth and config.dconv_comp > min(config.channels, config.channels_time or config.channels):
        raise UnbakeError(
            f"config.dconv_comp: {config.dconv_comp} leaves no channels of the fewest there are", where=where
        )
    if isinstance(config, TransformerConfig):
        longest = int(config.segment * config.samplerate)
        if config.use_train_segment and card.chunk > longest:
            what = f"chunk: {card.chunk} frames where this network was trained on {longest} and takes no more"
            raise UnbakeError(what, where=where)
        if config.t_sparse_self_attn or config.t_sparse_cross_attn:
            raise UnbakeError("config: sparse attention is more than this network can do here", where=where)
