import numpy as np
import pytest

from core.errors import UnbakeError
from core.separation.layout import Group, groups_of
from core.separation.plan import ChunkPlan, hop_of, weights

OVERLAPS = [1.25, 1.5, 2.0, 2.4, 3.0, 4.0, 7.3, 16.0]


@pytest.mark.parametrize("chunk", [16, 1000, 1001, 4096])
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_every_frame_of_any_file_has_full_weight(chunk: int, overlap: float):
    hop = hop_of(chunk, overlap)
    window = weights(chunk, hop).astype(np.float64)
    for length in (1, 2, hop - 1, hop, hop + 1, chunk, round(3.7 * chunk)):
        if length < 1:
            continue
        plan = ChunkPlan(length, chunk, hop)
        total = np.zeros(length + 2 * chunk)
        for index in range(plan.count):
            start = plan.start(index) + chunk
            total[start : start + chunk] += window
        np.testing.assert_allclose(total[chunk : chunk + length], 1.0, atol=2e-6)


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_finished_frames_are_never_touched_again(overlap: float):
    plan = ChunkPlan(10_007, 1000, hop_of(1000, overlap))
    for done in range(1, plan.count):
        assert plan.finished(done) == min(plan.length, max(0, plan.start(done)))
        assert plan.start(done) < plan.length
    assert plan.finished(0) == 0
    assert plan.finished(plan.count) == plan.length
    assert plan.start(0) > -plan.chunk


def test_a_run_taken_up_needs_only_chunks_that_still_matter():
    plan = ChunkPlan(10_000, 1000, 400)
    for frame in (0, 1, 399, 400, 5000, 9999):
        first = plan.first_chunk(frame)
        assert plan.start(first) + plan.chunk > frame
        assert first == 0 or plan.start(first - 1) + plan.chunk <= frame


def test_hop_is_exact_where_the_quotient_is_whole_in_decimal():
    assert hop_of(441_000, 2.4) == 183_750
    assert hop_of(343_980, 2.0) == 171_990
    assert hop_of(1001, 2.0) == 500
    assert hop_of(2, 1.25) == 1


@pytest.mark.parametrize("overlap", [1.0, 0.0, -2.0, 17.0, float("nan"), float("inf")])
def test_overlap_out_of_range_is_refused(overlap: float):
    with pytest.raises(UnbakeError, match=r"outside 1\.25 to 16"):
        hop_of(1000, overlap)


@pytest.mark.parametrize(
    ("speakers", "channels"),
    [
        (("M",), [(0,)]),
        (("L", "R"), [(0, 1)]),
        (("L", "R", "C"), [(0, 1), (2,)]),
        (("L", "R", "Ls", "Rs"), [(0, 1), (2, 3)]),
        (("L", "R", "C", "LFE", "Ls", "Rs"), [(0, 1), (2,), (4, 5)]),
        (("L", "R", "C", "LFE", "Cs", "Ls", "Rs"), [(0, 1), (2,), (4,), (5, 6)]),
        (("L", "R", "C", "LFE", "Lb", "Rb", "Ls", "Rs"), [(0, 1), (2,), (4, 5), (6, 7)]),
        (("L", "C", "LFE"), [(0,), (1,)]),
        (("M", "M"), [(0,), (1,)]),
    ],
)
def test_channels_go_in_pairs_where_they_are_pairs(speakers: tuple[str, ...], channels: list[tuple[int, ...]]):
    groups = groups_of(speakers)
    assert [group.channels for group in groups] == channels
    assert len({group.name for group in groups}) == len(groups)


def test_groups_are_named_by_their_speakers():
    assert groups_of(("L", "R", "C")) == (Group("L+R", (0, 1)), Group("C", (2,)))
