"""Which lines of a comb hold their phase, how loud they are, how steady, and where they pause."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from core.cleanup.dehum.stretches import LOOKS_HZ, Complexes, Reals

LOCKED: Final = 0.55
"""How like its neighbour in phase and level a line must be from window to window; chance gives 0."""
CERTAIN: Final = 6
"""With so many sure harmonics, weaker ones between them are believed more easily."""
FULL_SHARE: Final = 0.75
"""A comb with such a share of its harmonics up to the highest has all of them; hum of odd ones only stays so."""
TOLD: Final = 4.0
"""Whether a line beats is told where it has so many times the power of what is beside it,"""
TOLD_LINES: Final = 3
"""and by so many such lines."""
FAINT: Final = 0.25
"""A fade takes hum along: where there is so little of the usual power, nothing can be told from its absence."""
HEARD_HALVES: Final = 4
"""Half seconds, summed over lines, in which lines must be heard clearly to know how steady they are."""
CLEAR: Final = 30.0
"""Clearly: with so many times the power of what is beside them."""


class Lines(NamedTuple):
    """What is taken out: channel by channel which harmonics, their powers, and how the hum pauses."""

    there: NDArray[np.bool_]
    """[channels, harmonics], the first of them the fundamental."""
    powers: Reals
    """Mean squares, [channels, harmonics], 0 where there is none."""
    present: NDArray[np.bool_]
    """Half-second by half-second."""
    faint: NDArray[np.bool_]
    """Half-second by half-second: there is so little beside the lines that the file may be faded in or out there."""
    spread_db: float
    """How far levels are from their median, half of the time; infinite where nothing was clear enough to know."""
    beat: float
    """How far they go about their mean from moment to moment, root mean square: 0 is steady, 0.5 a plucked string."""


class Tally:
    """What is known of each line, window by window of so many seconds."""

    def __init__(self, channels: int, harmonics: int, seconds: float) -> None:
        self._size = round(seconds * LOOKS_HZ)
        self._locked = np.zeros((channels, harmonics))
        self._powers: list[NDArray[np.float32]] = []
        self._noises: list[NDArray[np.float32]] = []
        self._windows = 0
        self._levels: list[NDArray[np.float32]] = []
        self._clear: list[NDArray[np.float32]] = []
        self._beats: list[tuple[float, Reals]] = []
        """Window by window: when it begins, and by how much lines beat there, mean squares relative to their power."""

    def push(self, lines: Complexes, start: float, first: float, last: float) -> None:
        """Takes turned lines [channels, harmonics, looks] of a stretch that begins at `start` seconds."""
        low, high = round((first - start) * LOOKS_HZ), round((last - start) * LOOKS_HZ)
        size = self._size
        held = None
        for look in range(low, high - size + 1, size):
            mean, noise = _known(lines[:, :, look : look + size])
            if held is not None:
                product = (mean * held[0].conj()).real / np.sqrt(noise * held[1])
                self._locked += np.clip(product, -4.0, 4.0)
                self._windows += 1
            held = mean, noise
            power = np.square(np.abs(mean))
            self._powers.append(power.astype(np.float32))
            self._noises.append(noise.astype(np.float32))
            beat = _beat(lines[:, :, look : look + size], mean)
            self._beats.append((start + look / LOOKS_HZ, (beat / (power + 1e-18))[:, :16]))
        half = round(0.5 * LOOKS_HZ)
        for look in (low + round(0.5 * LOOKS_HZ * place) for place in range(math.ceil(2.0 * (last - first)))):
            mean, noise = _known(lines[:, :, max(0, look - half // 2) : look + half + half // 2 + 1])
            self._levels.append(np.square(np.abs(mean)).astype(np.float32).max(axis=0)[:16])
            self._clear.append(noise.astype(np.float32).max(axis=0)[:16])

    def result(self) -> Lines:
        """What there is of the comb."""
        count = max(1, self._windows)
        chance, locked = 1.0 / math.sqrt(2.0 * count), self._locked / count
        there = locked > max(LOCKED, 4.0 * chance)
        most = int(there.sum(axis=1).max())
        for row, one in zip(there, locked, strict=True):
            sure = np.flatnonzero(row)
            if len(sure) >= CERTAIN:
                # where so many are locked, those between them are of the same hum and need less to be believed
                row |= (one > 1.5 * chance) & (np.arange(len(one)) <= sure[-1])
                if row[: sure[-1] + 1].mean() >= FULL_SHARE:
                    row[: sure[-1] + 1] = True  # the few that are missing are drowned by music
            elif len(sure) < 0.1 * most:
                # in a channel without hum, a line or two may seem locked by chance
                row[:] = False
        usual = self._usual()
        powers = np.where(there, 0.5 * usual, 0.0)
        levels, noise = np.array(self._levels, dtype=float), np.array(self._clear, dtype=float)
        present, spread = _presence(levels, noise, 2.0 * powers.max(axis=0)[:16])
        beside = np.median(noise, axis=1) if noise.size else np.zeros(len(present))
        faint = beside < FAINT * np.median(beside)
        return Lines(there, powers, present, faint, spread, self._depth(there[:, :16], usual[:, :16], present))

    def _usual(self) -> Reals:
        """The power of each line, mostly from where there is little beside it: [channels, harmonics]."""
        if not self._powers:
            return np.zeros_like(self._locked)
        powers, noises = np.array(self._powers, dtype=float), np.array(self._noises, dtype=float)
        usual = np.median(powers, axis=0)
        for _ in range(4):
            weights = 1.0 / np.square(noises + 0.1 * usual + 1e-20)
            usual = (weights * np.maximum(powers - noises, 0.0)).sum(axis=0) / weights.sum(axis=0)
        return usual

    def _depth(self, there: NDArray[np.bool_], usual: Reals, present: NDArray[np.bool_]) -> float:
        """How far lines beat that can be told from music, in windows that they are in from end to end."""
        size = math.ceil(2 * self._size / LOOKS_HZ)
        whole = [beat for at, beat in self._beats if present[int(2 * at) : int(2 * at) + size + 1].all()]
        known = there & (usual > TOLD * np.median(np.array(self._noises), axis=0)[:, :16]) if whole else there & False
        # music makes single lines beat any way, a pluck makes all of them beat alike
        return math.sqrt(max(0.0, float(np.median(np.array(whole)[:, known])))) if known.sum() >= TOLD_LINES else 0.0


def _known(part: Complexes) -> tuple[Complexes, Reals]:
    """Mean of lines over a window, and what the square of that mean would be without them."""
    window = np.hanning(part.shape[2] + 2)[1:-1]
    mean = (part * window).sum(axis=2) / window.sum()
    spectrum = np.square(np.abs(np.asarray(fft.fft(part * window, axis=2)))) / window.sum() ** 2
    apart = np.abs(fft.fftfreq(part.shape[2], 1.0 / LOOKS_HZ))
    around = (apart > 1.9 / (part.shape[2] / LOOKS_HZ)) & (apart < 5.0)
    return mean, np.median(spectrum[:, :, around], axis=2) / math.log(2.0) + 1e-18


def _beat(part: Complexes, mean: Complexes) -> Reals:
    """By how much more the level of lines goes up and down than their phase goes to and fro: mean squares.

    What music adds to a line is as large in phase with it as across, so the difference is the line's own.
    """
    turned = part * np.exp(-1j * np.angle(mean))[..., None]
    off = turned - turned.mean(axis=2, keepdims=True)
    return np.square(off.real).mean(axis=2) - np.square(off.imag).mean(axis=2)


def _presence(levels: Reals, noise: Reals, usual: Reals) -> tuple[NDArray[np.bool_], float]:
    """Where the lines pause, and how much they swing where they can be heard: [halves, lines] in, [halves] out."""
    good = usual > 0.0
    if not good.any() or not len(levels):
        return np.ones(len(levels), dtype=bool), math.inf
    levels, noise, usual = levels[:, good], noise[:, good], usual[good]
    clear = usual / noise
    # a note may drown single lines, a pause silences nearly all: so each has one vote, and none shouts
    odds = np.clip(-clear + 2.0 * np.sqrt(np.minimum(clear * levels / noise, 1e12)), -3.0, 3.0)
    voters = clear > 4.0
    odds = 8.0 * np.where(voters, odds, 0.0).sum(axis=1) / np.maximum(voters.sum(axis=1), 1)
    present = _two_states(odds)
    heard = present[:, None] & (clear > CLEAR)
    if heard.sum() < HEARD_HALVES:
        return present, math.inf
    decibels = 10.0 * np.log10(levels / usual + 1e-9)
    known = [(np.subtract(*np.percentile(decibels[mask, line], [75, 25])) / 2.0, usual[line])
             for line, mask in enumerate(heard.T) if mask.sum() >= HEARD_HALVES]  # fmt: skip
    if not known:
        return present, math.inf
    spreads, powers = np.array(known).T
    # the loudest lines are known best, and are what is heard as hum or as a note
    return present, float(np.average(spreads, weights=powers))


def _two_states(odds: Reals, switch: float = 30.0) -> NDArray[np.bool_]:
    """The likeliest course of presence (Viterbi): changing costs, and hum is there until it is shown not to be."""
    scores = np.array([0.0, -switch])
    back = np.zeros((len(odds), 2), dtype=bool)
    for step, gain in enumerate(np.clip(odds, -40.0, 40.0)):
        stay, change = scores, scores[::-1] - switch
        back[step] = change > stay
        scores = np.maximum(stay, change) + np.array([gain, 0.0])
    state = int(np.argmax(scores))
    present = np.zeros(len(odds), dtype=bool)
    for step in range(len(odds) - 1, -1, -1):
        present[step] = state == 0
        if back[step, state]:
            state = 1 - state
    return present
