"""How the starter's bass mask is drawn towards the bass's share."""

from __future__ import annotations

import torch

from models import starter


def test_the_less_bass_there_is_the_less_an_unsure_cell_gives():
    network = starter.Starter()
    shape = (1, starter.BASS_BINS, 200)
    level, placed = torch.ones(shape), torch.ones(shape)
    # the cell in the middle of a band is refused; around it the mask takes all, half or nothing
    given = []
    for around in (1.0, 0.5, 0.0):
        mask = torch.full(shape, around)
        mask[:, 40, 100] = 0.0
        given.append(float(network.shared(level, mask, placed)[0, 40, 100]))
    assert 1 > given[0] > given[1] > given[2] > 0


def test_what_stands_elsewhere_gets_no_share():
    network = starter.Starter()
    shape = (1, starter.BASS_BINS, 50)
    shared = network.shared(torch.ones(shape), torch.zeros(shape), torch.zeros(shape))
    assert not shared.any()


def test_a_silence_has_no_share():
    network = starter.Starter()
    shape = (1, starter.BASS_BINS, 50)
    shared = network.shared(torch.zeros(shape), torch.rand(shape), torch.ones(shape))
    assert shared.isfinite().all()
    assert shared.min() >= 0
    assert shared.max() <= 1
