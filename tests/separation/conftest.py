import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from core.separation.store import Store

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache" / "stems")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Chunks as small as the stand-ins' take longer to hand out to threads than to compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
