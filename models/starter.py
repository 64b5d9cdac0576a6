"""The starter: four stems from Spleeter's voice and a split of the rest without a network.

Voice and accompaniment come from `models.spleeter`. The accompaniment is split in two steps:

- Bass, in transforms of 8192 samples that part the harmonics of low notes. A pitch track (harmonic sum with the half
  harmonics subtracted, in the manner of D. J. Hermes, JASA 83, 1988; path by Viterbi) says where the bass's harmonics
  lie; masks of harmonic-percussive median filtering (D. Fitzgerald, DAFx 2010) keep drums out; where the bass stands
  in the stereo image keeps out what stands elsewhere. That mask says how much of each band is bass over seconds, and
  the bass gets about that share of what the mask was not sure of. On the real excerpts this gives back missed bass;
  on the rendered ones, and on trackswitch's, it lets in more drums than it gives back.
- Drums, from what is left: the percussive masks of the same method, weighted by how central a cell is, and everything
  in the lowest octaves, where nothing else is left.

"other" is the mix less the three, so the four always sum to the mix. The constants were chosen on physical grounds
and by SDR on seven real and eight rendered excerpts with true stems; those of the bass also by the SDR of the mix after
a cut on it (`benchmarks.repair`, whose five excerpts are among the seven), the best of some seventy settings. None was
held out: constants fitted to renders alone did worse on the real excerpts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from core.errors import UnbakeError
from models import spleeter
from models.building import where_of
from models.medians import running_median

if TYPE_CHECKING:
    from models.registry import Card
    from models.weights import Tensors

STEMS = ("vocals", "drums", "bass", "other")
RATE = 44_100
HOP = 1024

BASS_WINDOW = 8192
BASS_TOP = 1500.0
"""Hz. What a bass has above is fainter than what a mask would let through with it."""
BASS_BINS = int(BASS_TOP / RATE * BASS_WINDOW)
SHARE_BINS, SHARE_FRAMES = 9, 129
"""How far around a cell the bass's share is counted: 48 Hz and 3 s."""
LOWEST, STEPS, STEPS_PER_OCTAVE = 35.0, 128, 48
"""Pitches tracked: quarters of a semitone from 35 Hz to 219 Hz."""
HARMONICS_HEARD, HARMONICS_TAKEN = 8, 16
DRUM_WINDOW = 4096
TINY = 1e-12


def slope(frequencies: Tensor, corner: float, steepness: float = 4.0) -> Tensor:
    """1 well below `corner` Hz, 1/2 at it, falling by 6 dB per octave and unit of `steepness` above."""
    return 1.0 / (1.0 + (frequencies / corner) ** steepness)


def comb(harmonics: int, half: float, narrow: float, width: float) -> Tensor:
    """Teeth at the harmonics (less `half` of the pitch) of every tracked pitch: float32 `[STEPS, BASS_BINS]`.

    A tooth is a Gaussian whose deviation is `narrow` bins, or `width` / 2 of its own frequency where that is more.
    """
    bin_hz = RATE / BASS_WINDOW
    bins = torch.arange(BASS_BINS) * bin_hz
    pitches = LOWEST * 2.0 ** (torch.arange(STEPS) / STEPS_PER_OCTAVE)
    teeth = torch.zeros(STEPS, BASS_BINS)
    for harmonic in range(1, harmonics + 1):
        centre = (harmonic - half) * pitches[:, None]
        deviation = ((narrow * bin_hz) ** 2 + (width / 2 * centre) ** 2).sqrt()
        teeth += torch.exp(-0.5 * ((bins - centre) / deviation) ** 2)
    return teeth


def best_path(scores: Tensor, step_cost: float, jump_cost: float) -> Tensor:
    """The path of the highest sum through `scores` `[batch, states, frames]`: int64 `[batch, frames]` (Viterbi).

    Moving by n states from frame to frame costs n * `step_cost`, at most `jump_cost`.
    """
    batch, states, frames = scores.shape
    # further than this a move costs `jump_cost` wherever it leads, so it can only come from the best state of all
    reach = min(states - 1, int(jump_cost / step_cost))
    offsets = torch.arange(-reach, reach + 1, device=scores.device)
    index = torch.arange(states, device=scores.device)
    score = scores[:, :, 0]
    came_from = torch.empty(frames, batch, states, dtype=torch.long, device=scores.device)
    for frame in range(1, frames):
        around = F.pad(score, (reach, reach), value=-torch.inf).unfold(1, 2 * reach + 1, 1)
        best, offset = (around - step_cost * offsets.abs()).max(dim=2)
        highest, state = score.max(dim=1, keepdim=True)
        jumps = highest - jump_cost > best
        came_from[frame] = torch.where(jumps, state, index + offset - reach)
        score = torch.where(jumps, highest - jump_cost, best) + scores[:, :, frame]
    state = score.argmax(dim=1, keepdim=True)
    path = [state]
    for frame in range(frames - 1, 0, -1):
        state = came_from[frame].gather(1, state)
        path.append(state)
    return torch.cat(path[::-1], dim=1)


def near(x: Tensor, bins: int, frames: int) -> Tensor:
    """The mean over `bins` x `frames` neighbours (both odd), as far as there are any, of `[batch, bins, frames]`."""
    # one direction after the other costs bins + frames additions a cell, not bins * frames
    x = F.avg_pool2d(x, (bins, 1), stride=1, padding=(bins // 2, 0), count_include_pad=False)
    return F.avg_pool2d(x, (1, frames), stride=1, padding=(0, frames // 2), count_include_pad=False)


def spectrum(sound: Tensor, window: Tensor) -> Tensor:
    """`[batch, 2, frames]` to complex `[batch, 2, bins, STFT frames]`."""
    flat = torch.stft(sound.flatten(0, 1), len(window), HOP, window=window, pad_mode="constant", return_complex=True)
    return flat.unflatten(0, sound.shape[:2])


def sound(spectra: Tensor, window: Tensor, frames: int) -> Tensor:
    """Complex `[batch, 2, bins, STFT frames]` back to `[batch, 2, frames]`."""
    return torch.istft(spectra.flatten(0, 1), len(window), HOP, window=window, length=frames).unflatten(0, (-1, 2))


def magnitude(spectra: Tensor) -> Tensor:
    """Root mean square over the two channels, so that nothing panned or out of phase is missed."""
    return spectra.abs().square().mean(dim=1).sqrt()


class Starter(nn.Module):
    """Maps float32 `[batch, 2, frames]` at 44.1 kHz to `[batch, 4, 2, frames]`: vocals, drums, bass, other.

    The four sum to the mix up to float32 rounding. No parameter but Spleeter's is trained.
    """

    hann_bass: Tensor
    hann_drums: Tensor
    heard: Tensor
    taken: Tensor
    bass_hz: Tensor
    drum_hz: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.voice = spleeter.Spleeter()
        self.constant("hann_bass", torch.hann_window(BASS_WINDOW))
        self.constant("hann_drums", torch.hann_window(DRUM_WINDOW))
        # 0.7: half harmonics count against a pitch, or the octave below every note would do as well as the note
        pitch_teeth = comb(HARMONICS_HEARD, 0.0, 1.0, 0.02) - 0.7 * comb(HARMONICS_HEARD, 0.5, 1.0, 0.02)
        self.constant("heard", pitch_teeth)
        # a tooth must hold the main lobe of the window, and glides and vibrato
        self.constant("taken", comb(HARMONICS_TAKEN, 0.0, 1.5, 0.03).clamp_max(1.0))
        self.constant("bass_hz", torch.arange(BASS_BINS)[:, None] * (RATE / BASS_WINDOW))
        self.constant("drum_hz", torch.arange(DRUM_WINDOW // 2 + 1)[:, None] * (RATE / DRUM_WINDOW))

    def constant(self, name: str, value: Tensor) -> None:
        """Registers what moves with the module to its device but is in no file of weights."""
        self.register_buffer(name, value, persistent=False)

    def forward(self, mix: Tensor) -> Tensor:
        """`[batch, 2, frames]` to `[batch, 4, 2, frames]`; the class says more."""
        vocals = self.voice.sound(self.voice.masked(mix)[:, :1], mix.shape[2])[:, 0]
        with torch.autocast(mix.device.type, enabled=False):  # filters, which no 16-bit float serves
            rest = mix - vocals
            bass = self.bass(rest)
            rest = rest - bass
            drums = self.drums(rest)
            return torch.stack((vocals, drums, bass, rest - drums), dim=1)

    def bass(self, rest: Tensor) -> Tensor:
        """The bass in the accompaniment: `[batch, 2, frames]` to the same."""
        spectra = spectrum(rest, self.hann_bass)
        low = spectra[:, :, :BASS_BINS]
        level = magnitude(low)
        # Medians over 0.4 s and 0.8 s together: the short one keeps fast notes, the long one refuses the kick's tail.
        steady = 0.5 * (running_median(level, 17, 2) + running_median(level, 33, 2))
        struck = running_median(level, 9, 1)
        teeth = self.taken[self.pitch(level)].transpose(1, 2)
        # On the comb the attack of a note is the bass's own, so it is refused less there. Off it, the lowest octave is
        # taken (a fundamental that the track missed), and some of what is steady above.
        on = steady.square() / (steady.square() + (0.8 * struck).square() + TINY) * slope(self.bass_hz, 800.0)
        missed = torch.maximum(slope(self.bass_hz, 80.0), 0.4 * slope(self.bass_hz, 600.0))
        off = steady.square() / (steady.square() + struck.square() + TINY) * missed
        mask = teeth * on + (1 - teeth) * off
        placed = self.placed(low, mask)
        mask = self.shared(level, mask * placed, placed)
        masked = torch.zeros_like(spectra)
        masked[:, :, :BASS_BINS] = low * mask[:, None]
        return sound(masked, self.hann_bass, rest.shape[2])

    def shared(self, level: Tensor, mask: Tensor, placed: Tensor) -> Tensor:
        """`mask`, drawn towards the share the bass has around each cell: `[batch, BASS_BINS, frames]`.

        Where the bass is most of what sounds, what the mask refuses is mostly bass as well: attacks, and notes that the
        track missed. Where it is little, what the mask takes is partly something else's.
        """
        power = level.square()
        share = near(mask * power, SHARE_BINS, SHARE_FRAMES) / (near(power, SHARE_BINS, SHARE_FRAMES) + TINY)
        # a quarter where the mask knows of no bass: notes above the tracked pitches have this to live on
        unsure = torch.maximum(share, 0.25 * slope(self.bass_hz, 600.0)) * placed
        # struck cells down there are the kick's
        above = (self.bass_hz >= 70.0).float()
        mask = mask + (1 - mask) * unsure * (1 - slope(self.bass_hz, 70.0))
        mask = mask * (0.7 + 0.3 * share)
        # the gain of one cell is partly chance; below, bass and kick are too near each other for that
        return above * near(mask, 3, 3) + (1 - above) * mask

    def pitch(self, level: Tensor) -> Tensor:
        """Which of the tracked pitches each frame has: `[batch, BASS_BINS, frames]` to int64 `[batch, frames]`."""
        # square roots, so that one loud partial is not a note
        loudness = level.sqrt()
        salience = (self.heard @ loudness) / (loudness.sum(dim=1, keepdim=True) + 1e-6)
        smooth = F.avg_pool1d(salience, 5, stride=1, padding=2, count_include_pad=False)
        return best_path(150.0 * smooth, step_cost=0.3, jump_cost=2.4)

    def placed(self, low: Tensor, mask: Tensor) -> Tensor:
        """How far each cell stands where the bass stands in the stereo image: `[batch, BASS_BINS, frames]`, 0 to 1.

        The bass's place is the main axis of the covariance of what `mask` takes from 40 to 200 Hz, and the middle where
        it takes next to nothing there. A bass that is spread (double-tracked, chorus) has no place, and then nothing is
        refused. Nor is anything below 100 Hz, where everything is central.
        """
        left, right = low[:, 0], low[:, 1]
        weight = mask.square() * ((self.bass_hz > 40.0) & (self.bass_hz < 200.0))
        # where no bass plays, what the mask takes is not its own: a little of all that is taken counts as central
        power = left.abs().square() + right.abs().square()
        middle = 0.05 * (power * mask.square() * (self.bass_hz < 400.0)).sum(dim=(1, 2), keepdim=True)
        ll = (left.abs().square() * weight).sum(dim=(1, 2), keepdim=True) + middle
        rr = (right.abs().square() * weight).sum(dim=(1, 2), keepdim=True) + middle
        lr = (left * right.conj() * weight).sum(dim=(1, 2), keepdim=True) + middle
        # the difference of the two eigenvalues; over their sum it is 1 for one source at one place
        spread = ((ll - rr).square() + 4 * lr.abs().square()).sqrt()
        certain = ((spread / (ll + rr + TINY) - 0.75) / 0.2).clamp(0, 1)
        along = (ll - rr) * (left.abs().square() - right.abs().square()) + 4 * (lr * left.conj() * right).real
        # 1 on the axis, 0 at as much across as along it, averaged over neighbours because one cell is chance
        likeness = near(along / (spread + TINY), 3, 5) / (near(power, 3, 5) + TINY)
        cue = likeness.clamp(1e-4, 1) ** (2 * certain)
        everywhere = slope(self.bass_hz, 100.0)
        return everywhere + (1 - everywhere) * cue

    def drums(self, rest: Tensor) -> Tensor:
        """The drums in what voice and bass left: `[batch, 2, frames]` to the same."""
        spectra = spectrum(rest, self.hann_drums)
        level = magnitude(spectra)
        steady, struck = running_median(level, 17, 2).square(), running_median(level, 17, 1).square()
        mask = struck / (steady + struck + TINY)
        # with the bass gone, what is left of the lowest octaves is the kick
        deep = slope(self.drum_hz, 100.0)
        mask = deep + (1 - deep) * mask
        # a kit stands in the middle or fills the image evenly; guitars, keys and reverberation are at its sides
        left, right = spectra[:, 0], spectra[:, 1]
        power = near(left.abs().square() + right.abs().square(), 5, 5)
        central = 2 * near((left * right.conj()).real, 5, 5) / (power + TINY)
        return sound(spectra * (mask * central.clamp(0, 1))[:, None], self.hann_drums, rest.shape[2])


def build(card: Card, tensors: list[Tensors]) -> Starter:
    """The network of a card whose weights are those of Spleeter's two stems, vocals first."""
    where = where_of(card)
    if card.stems != STEMS:
        raise UnbakeError(f"stems: the starter gives {', '.join(STEMS)}, in this order", where=where)
    if card.config:
        raise UnbakeError(f"config.{min(card.config)}: the starter has no such parameter", where=where)
    network = Starter()
    network.voice.fill(tensors, where)
    return network
