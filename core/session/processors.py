"""Processors as data: small frozen values in engineers' units, one class for each `type` a session may name.

What they do to sound lives in `core.strips` and `core.recombine`; here is only what can be written down, its range,
whether it changes anything, and how a person edits it.

Every field carries a `Meta`: `title` and `description` (a short help) in words, and in `extra` what `parameters` reads:

- `unit`: what is shown and may be typed; "%" for a share that is stored as 0 to 1, "" for a bare figure
- `fine`, `coarse`: the steps, in the field's own unit, or in octaves where `scale` is "log" (otherwise "linear")
- `decimals`: shown at the least on a log scale; a linear one has those of its fine step
- `start`: what a new one gets, for a field without a default
- `bare`: said without its title in a processor's words, for what nobody would mistake
- `named`: values that have a name; `sides`: names of below and above zero
"""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from core.session.points import Points
from core.session.points import check as check_points

UNSAID: dict[str, Any] = {
    "placement": "all",
    "eq_phase": "minimum",
    "budget": 1.0,
    "points": [],
    "sidechain": "",
    "treated": "",
    "warp": "linked",
    "cleanup": [],
    "hash": "",
}
"""Fields that are not written down while they are at their defaults, as plain values: they say nothing then."""
Placement = Literal["all", "mid", "side", "left", "right"]
DB_STEPS = {"unit": "dB", "fine": 0.1, "coarse": 1.0, "bare": True}
SHARE_STEPS = {"unit": "%", "fine": 0.01, "coarse": 0.1}

Frequency = Annotated[
    float,
    Meta(
        ge=10.0,
        le=192_000.0,
        title="frequency",
        description="at most 0.49 of the sample rate",
        extra={"unit": "Hz", "scale": "log", "fine": 1 / 24, "coarse": 1 / 3, "bare": True},
    ),
]
GainDb = Annotated[float, Meta(ge=-24.0, le=24.0, title="gain", description="boost or cut", extra=DB_STEPS)]
Quality = Annotated[
    float,
    Meta(
        ge=0.1,
        le=40.0,
        title="Q",
        description="centre frequency over bandwidth: higher is narrower",
        extra={"unit": "Q", "scale": "log", "fine": 1 / 12, "coarse": 1 / 2, "decimals": 2, "bare": True},
    ),
]
FaderDb = Annotated[float, Meta(ge=-96.0, le=24.0, title="gain", description="level change", extra=DB_STEPS)]
ShelfSlope = Annotated[
    float,
    Meta(
        ge=0.1,
        le=1.0,
        title="slope",
        description="1 is the steepest without overshoot",
        extra={"unit": "", "fine": 0.05, "coarse": 0.2},
    ),
]
CutSlope = Annotated[
    Literal[6, 12, 18, 24, 30, 36, 42, 48],
    Meta(title="slope", description="6 dB/oct for each order of the filter", extra={"unit": "dB/oct", "bare": True}),
]


def _ms(low: float, high: float, title: str, about: str) -> Meta:
    """A time on a logarithmic scale."""
    steps = {"unit": "ms", "scale": "log", "fine": 1 / 12, "coarse": 1 / 2}
    return Meta(ge=low, le=high, title=title, description=about, extra=steps)


def _range(most_db: float) -> Meta:
    """How much a processor may take away."""
    about = "the most that is taken away"
    return Meta(ge=0.0, le=most_db, title="range", description=about, extra={**DB_STEPS, "fine": 0.5, "bare": False})


ThresholdDb = Annotated[float, Meta(ge=-100.0, le=0.0, title="threshold", extra={**DB_STEPS, "unit": "dBFS"})]
Ratio = Annotated[
    float,
    Meta(
        ge=1.0,
        le=100.0,
        title="ratio",
        extra={"unit": ":1", "scale": "log", "fine": 1 / 12, "coarse": 1 / 2, "decimals": 1, "bare": True},
    ),
]
LowEdge = Annotated[
    Frequency,
    Meta(
        title="from", description="lower edge of what is treated", extra={"bare": False, "named": {10.0: "the lowest"}}
    ),
]
HighEdge = Annotated[
    Frequency,
    Meta(
        title="to",
        description="upper edge of what is treated",
        extra={"bare": False, "named": {192_000.0: "the top"}},
    ),
]
Knee = Annotated[
    float,
    Meta(
        ge=0.0,
        le=24.0,
        title="knee",
        description="how gradually it sets in around the threshold",
        extra={"unit": "dB", "fine": 0.5, "coarse": 3.0},
    ),
]
Mix = Annotated[float, Meta(ge=0.0, le=1.0, title="mix", description="share of what is treated", extra=SHARE_STEPS)]


@cache
def field_limits(kind: type) -> dict[str, tuple[float | None, float | None]]:
    """The lowest and highest value of every number in a struct, by field name; None where it is open."""
    limits: dict[str, tuple[float | None, float | None]] = {}
    for name, hints in get_type_hints(kind, include_extras=True).items():
        # a number that may be left out is one of a union
        for hint in (hints, *get_args(hints)):
            if get_origin(hint) is Annotated and get_args(hint)[0] in (float, int):
                metas = [extra for extra in get_args(hint) if isinstance(extra, Meta)]
                low = next((meta.ge for meta in metas if meta.ge is not None), None)
                limits[name] = (low, next((meta.le for meta in metas if meta.le is not None), None))
            elif hint is float and name not in limits:
                limits[name] = (None, None)
    return limits


class Checked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value whose numbers are checked whenever one is made, not only when it is read from a file."""

    def __post_init__(self) -> None:
        for name, (low, high) in field_limits(type(self)).items():
            value: Any = getattr(self, name)
            if not isinstance(value, (int, float)):
                continue  # unset, or of a type that decoding refuses with its own words
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}, not a number that can be used")
            if (low is not None and value < low) or (high is not None and value > high):
                raise ValueError(f"{name} is {value:g}, outside {low:g} to {high:g}")


class Processor(Checked, frozen=True, tag_field="type", kw_only=True):
    """One insert of a chain. `bypass` keeps it in the document and out of the sound."""

    bypass: Annotated[
        bool, Meta(title="bypass", description="keeps it in the chain and out of the sound", extra={"unit": ""})
    ] = False

    @property
    def neutral(self) -> bool:
        """Whether its settings leave every sample as it is."""
        return False

    @property
    def active(self) -> bool:
        """Whether it is heard: neither bypassed nor neutral."""
        return not (self.bypass or self.neutral)


class EqualiserBand(Processor, frozen=True, kw_only=True):
    """A linear filter: minimum phase, or linear phase where its strip says so."""

    freq_hz: Frequency
    placement: Annotated[
        Placement,
        Meta(title="acts on", description="all channels, or a part of every left-right pair", extra={"unit": ""}),
    ] = "all"


class Bell(EqualiserBand, frozen=True, tag="bell", kw_only=True):
    """Boost or cut around one frequency (peaking filter of the RBJ Audio EQ Cookbook)."""

    freq_hz: Annotated[Frequency, Meta(description="centre of the boost or cut", extra={"start": 250.0})]
    gain_db: GainDb = 0.0
    q: Quality = 0.7

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.gain_db == 0.0


class LowShelf(EqualiserBand, frozen=True, tag="low_shelf", kw_only=True):
    """Boost or cut below a frequency (RBJ cookbook shelf), half of the gain at the frequency itself."""

    freq_hz: Annotated[Frequency, Meta(description="where half of the gain is reached", extra={"start": 120.0})]
    gain_db: GainDb = 0.0
    slope: ShelfSlope = 0.7

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.gain_db == 0.0


class HighShelf(LowShelf, frozen=True, tag="high_shelf", kw_only=True):
    """Boost or cut above a frequency (RBJ cookbook shelf), half of the gain at the frequency itself."""

    freq_hz: Annotated[Frequency, Meta(description="where half of the gain is reached", extra={"start": 8000.0})]


class LowCut(EqualiserBand, frozen=True, tag="low_cut", kw_only=True):
    """High-pass, Butterworth, -3 dB at its frequency."""

    freq_hz: Annotated[Frequency, Meta(description="corner, 3 dB down; what is lower goes", extra={"start": 30.0})]
    slope_db_oct: CutSlope = 12


class HighCut(LowCut, frozen=True, tag="high_cut", kw_only=True):
    """Low-pass, Butterworth, -3 dB at its frequency."""

    freq_hz: Annotated[Frequency, Meta(description="corner, 3 dB down; what is higher goes", extra={"start": 18_000.0})]


class Notch(EqualiserBand, frozen=True, tag="notch", kw_only=True):
    """Takes one frequency out altogether (RBJ cookbook notch)."""

    freq_hz: Annotated[Frequency, Meta(description="what is taken out", extra={"start": 50.0})]
    q: Quality = 10.0


class Tilt(EqualiserBand, frozen=True, tag="tilt", kw_only=True):
    """Turns the whole spectrum around one frequency: half of the gain up above it, half down below."""

    freq_hz: Annotated[Frequency, Meta(description="where the level stays as it is", extra={"start": 1000.0})]
    gain_db: Annotated[GainDb, Meta(description="treble over bass")] = 0.0

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.gain_db == 0.0


class Width(Processor, frozen=True, tag="width", kw_only=True):
    """Scales the side signal of every left-right pair: 0 is mono, 1 as it was, 2 twice as wide."""

    amount: Annotated[
        float,
        Meta(
            ge=0.0,
            le=2.0,
            title="amount",
            description="side level, 100% is unchanged",
            extra={**SHARE_STEPS, "bare": True},
        ),
    ] = 1.0

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.amount == 1.0


class Gain(Processor, frozen=True, tag="gain", kw_only=True):
    """A level change of all channels, the same throughout or along points in time.

    Between points (seconds, dB) it goes in straight lines of dB; the first level holds before them, the last one after.
    """

    gain_db: FaderDb = 0.0
    points: Annotated[
        Points, Meta(title="points", description="levels over time, added to the gain", extra={"unit": ""})
    ] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_points(self.points)

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.gain_db == 0.0 and not any(level_db for _, level_db in self.points)


class TransientShaper(Processor, frozen=True, tag="transient_shaper", kw_only=True):
    """Makes attacks and tails louder or quieter, whatever their level.

    Within `low_hz` to `high_hz` only; three of them are a shaper of three bands. `guard` keeps peaks under full scale.
    """

    attack_db: Annotated[
        float,
        Meta(ge=-15.0, le=15.0, title="attack", description="gain of beginnings", extra={**DB_STEPS, "bare": False}),
    ] = 0.0
    sustain_db: Annotated[
        float, Meta(ge=-24.0, le=24.0, title="sustain", description="gain of tails", extra={**DB_STEPS, "bare": False})
    ] = 0.0
    attack_ms: Annotated[float, _ms(2.0, 100.0, "length", "how long a beginning lasts")] = 15.0
    low_hz: LowEdge = 10.0
    high_hz: HighEdge = 192_000.0
    mix: Mix = 1.0
    guard: Annotated[
        bool, Meta(title="guard", description="no peak is made louder than full scale", extra={"unit": ""})
    ] = True

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.attack_db == self.sustain_db == 0.0 or self.mix == 0.0 or self.low_hz >= self.high_hz


class Compressor(Processor, frozen=True, tag="compressor", kw_only=True):
    """Makes what is louder than a threshold quieter. Peaks of all channels, feed-forward, with a soft knee."""

    threshold_db: Annotated[ThresholdDb, Meta(description="peaks over it are compressed")] = -20.0
    ratio: Annotated[Ratio, Meta(description="dB over the threshold for one dB more out of it")] = 1.0
    knee_db: Knee = 6.0
    attack_ms: Annotated[float, _ms(0.02, 500.0, "attack", "63% of a reduction")] = 10.0
    release_ms: Annotated[float, _ms(5.0, 5000.0, "release", "63% of the way back")] = 120.0
    makeup_db: Annotated[GainDb, Meta(title="make-up", description="level afterwards", extra={"bare": False})] = 0.0
    mix: Mix = 1.0

    @property
    def neutral(self) -> bool:  # noqa: D102
        return (self.ratio == 1.0 and self.makeup_db == 0.0) or self.mix == 0.0


class Gate(Processor, frozen=True, tag="gate", kw_only=True):
    """Makes what is quieter than a threshold quieter still: an expander, a gate at a high ratio."""

    threshold_db: Annotated[ThresholdDb, Meta(description="peaks under it are expanded")] = -50.0
    ratio: Annotated[Ratio, Meta(description="dB out of it for one dB under the threshold")] = 1.0
    range_db: Annotated[float, _range(100.0)] = 40.0
    knee_db: Knee = 6.0
    attack_ms: Annotated[float, _ms(0.02, 500.0, "attack", "63% of opening")] = 1.0
    hold_ms: Annotated[
        float,
        Meta(
            ge=0.0,
            le=2000.0,
            title="hold",
            description="how long it stays open",
            extra={"unit": "ms", "fine": 5.0, "coarse": 50.0},
        ),
    ] = 20.0
    release_ms: Annotated[float, _ms(5.0, 5000.0, "release", "in which the level it hears falls by 20 dB")] = 100.0

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.ratio == 1.0 or self.range_db == 0.0


class DynamicBell(Processor, frozen=True, tag="dynamic_bell", kw_only=True):
    """A bell that comes as the level in its band passes a threshold: of its own stem, or of another one.

    At its whole range it is the bell of that gain and Q. Every dB past the threshold is one of gain, up to the range.
    """

    freq_hz: Annotated[Frequency, Meta(description="centre of the bell and of what is heard", extra={"start": 250.0})]
    q: Quality = 0.7
    threshold_db: Annotated[ThresholdDb, Meta(description="level in the band where it sets in")] = -30.0
    range_db: Annotated[
        GainDb, Meta(title="range", description="the most it cuts (below zero) or boosts", extra={"bare": False})
    ] = 0.0
    acts: Annotated[
        Literal["above", "below"],
        Meta(
            title="acts", description="on what is louder or on what is quieter than the threshold", extra={"unit": ""}
        ),
    ] = "above"
    attack_ms: Annotated[float, _ms(0.02, 500.0, "attack", "63% of its coming")] = 10.0
    release_ms: Annotated[float, _ms(5.0, 5000.0, "release", "63% of its going")] = 120.0
    sidechain: Annotated[
        str,
        Meta(
            title="side-chain",
            description="the stem whose level is heard, as it was before any processing",
            extra={"unit": "", "named": {"": "itself"}, "of_stems": True},
        ),
    ] = ""

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.range_db == 0.0


class DeEsser(Processor, frozen=True, tag="deesser", kw_only=True):
    """Takes sibilants down by as much as they stand out of the voice, whatever its level."""

    freq_hz: Annotated[Frequency, Meta(title="from", description="where sibilants begin", extra={"start": 5000.0})]
    high_hz: HighEdge = 192_000.0
    threshold_db: Annotated[
        float,
        Meta(
            ge=-40.0,
            le=0.0,
            title="threshold",
            description="of the band against the whole: lower treats more",
            extra={**DB_STEPS, "bare": False},
        ),
    ] = -6.0
    range_db: Annotated[float, _range(24.0)] = 0.0
    attack_ms: Annotated[float, _ms(0.02, 100.0, "attack", "63% of a reduction")] = 1.0
    release_ms: Annotated[float, _ms(5.0, 1000.0, "release", "63% of the way back")] = 60.0

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.range_db == 0.0 or self.freq_hz >= self.high_hz


class Saturation(Processor, frozen=True, tag="saturation", kw_only=True):
    """Adds harmonics to what is loud; what is quiet stays. A tanh curve, oversampled."""

    drive_db: Annotated[
        float,
        Meta(
            ge=0.0, le=36.0, title="drive", description="how hard the curve is driven", extra={**DB_STEPS, "fine": 0.5}
        ),
    ] = 0.0
    mix: Mix = 1.0

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.drive_db == 0.0 or self.mix == 0.0


class MonoBelow(Processor, frozen=True, tag="mono_below", kw_only=True):
    """Makes every left-right pair mono below a frequency, without turning the phase of anything."""

    freq_hz: Annotated[Frequency, Meta(description="the side is 6 dB down here", extra={"start": 120.0})]


class AllPass(EqualiserBand, frozen=True, tag="all_pass", kw_only=True):
    """Turns the phase by 180 degrees at one frequency, and by 360 far above it; levels stay (RBJ cookbook APF)."""

    freq_hz: Annotated[Frequency, Meta(description="where the phase is turned by 180 degrees", extra={"start": 100.0})]
    q: Quality = 0.7


class Delay(Processor, frozen=True, tag="delay", kw_only=True):
    """Moves the stem in time, by parts of a frame too; below zero it comes earlier."""

    frames: Annotated[
        float,
        Meta(
            ge=-20_000.0,
            le=20_000.0,
            title="delay",
            description="later; earlier below zero",
            extra={"unit": "frames", "fine": 0.1, "coarse": 10.0, "bare": True},
        ),
    ] = 0.0

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.frames == 0.0


class Limiter(Processor, frozen=True, tag="limiter", kw_only=True):
    """Look-ahead limiter on oversampled peaks; sound below the ceiling passes bit for bit. Master only."""

    ceiling_dbtp: Annotated[
        float,
        Meta(
            ge=-24.0,
            le=0.0,
            title="ceiling",
            description="highest true peak",
            extra={"unit": "dBTP", "fine": 0.1, "coarse": 1.0, "bare": True},
        ),
    ] = -1.0


DitherShape = Literal["flat", "highpass", "f_weighted"]


class Dither(Processor, frozen=True, tag="dither", kw_only=True):
    """TPDF dither in place of the automatic one. Master only; bypassed, it turns dithering off.

    `bits` is the word length dithered to, 0 that of the output; `shape` is `flat` (white), `highpass` (first
    difference: the same power, moved up out of the ear's best range) or `f_weighted` (flat dither, and the error of
    rounding fed back through Wannamaker's F-weighted filter: more power, where the ear is dullest).
    """

    bits: Annotated[
        int,
        Meta(
            ge=0,
            le=32,
            title="word length",
            description="dithered to; 0 for that of the output",
            extra={"unit": "bits", "fine": 1, "coarse": 8, "named": {0: "output bits"}, "bare": True},
        ),
    ] = 0
    shape: Annotated[
        DitherShape, Meta(title="shape", description="spectrum of the noise", extra={"unit": "", "bare": True})
    ] = "flat"


class Vst3(Processor, frozen=True, tag="vst3", kw_only=True):
    """A VST3 plug-in of yours, in a process of its own.

    Its `path` is given in full, or as a bare name that lies in the usual folders; `plugin` names one where the file
    holds several; `parameters` are the plug-in's own, by the names that pedalboard gives them, and what is not named
    stays as the plug-in starts. Whether they fit is known once it is loaded.
    """

    path: Annotated[
        str,
        Meta(
            title="plug-in",
            description="full path of a .vst3, or its name if it lies in ~/.vst3",
            extra={"unit": "", "start": "", "named": {"": "no plug-in"}, "bare": True},
        ),
    ]
    plugin: Annotated[
        str,
        Meta(
            title="which one",
            description="its name, where the file holds several plug-ins",
            extra={"unit": "", "named": {"": "the only one"}},
        ),
    ] = ""
    parameters: Annotated[
        dict[str, float | int | bool | str],
        Meta(title="parameters", description="the plug-in's own", extra={"unit": ""}),
    ] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in self.parameters.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"parameters.{name} is {value}, not a number that can be used")

    @property
    def neutral(self) -> bool:  # noqa: D102
        return not self.path


StripProcessor = (
    Bell | LowShelf | HighShelf | LowCut | HighCut | Notch | Tilt | AllPass
    | DynamicBell | TransientShaper | Compressor | Gate | DeEsser | Saturation | Width | MonoBelow | Delay | Gain
    | Vst3
)  # fmt: skip
MasterProcessor = (
    Bell | LowShelf | HighShelf | LowCut | HighCut | Notch | Tilt | AllPass
    | DynamicBell | TransientShaper | Compressor | Gate | DeEsser | Saturation | Width | MonoBelow | Delay | Gain
    | Vst3 | Limiter | Dither
)  # fmt: skip
HIGHEST_SHARE = 0.49
"""Highest frequency of an equaliser as a share of the sample rate."""
AT_A_FREQUENCY = (EqualiserBand, DynamicBell, MonoBelow, DeEsser)
"""Those whose `freq_hz` must be one that the file can hold."""
OF_PAIRS = (Width, MonoBelow)
"""Those that need a left and a right."""


def needs_pair(processor: Processor) -> str | None:
    """What of a processor needs a left and a right, in words; None where nothing does."""
    kind = str(processor.__struct_config__.tag)
    if isinstance(processor, EqualiserBand) and processor.placement != "all":
        return f"{kind} on {processor.placement}"
    return kind if isinstance(processor, OF_PAIRS) else None


def kinds() -> dict[str, type[Processor]]:
    """Every processor class by the name that sessions give it."""
    return {str(kind.__struct_config__.tag): kind for kind in get_args(MasterProcessor)}
