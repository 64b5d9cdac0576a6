"""Separates a file in a process of its own, slowly, so that a test can kill it: SOURCE STORE PAUSE."""

import sys
from pathlib import Path

from separation_stand_ins import Wandering, network_of

from core.events import finish
from core.separation import work
from core.separation.separate import SeparationRequest, separate
from core.separation.store import Store

if __name__ == "__main__":
    source, folder, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    work.SAVE_SECONDS = 0.0
    network = network_of(Wandering([0.7, 0.25], pause))
    finish(separate(source, SeparationRequest(model="fake", device="cpu"), network=network, store=Store(folder)))
