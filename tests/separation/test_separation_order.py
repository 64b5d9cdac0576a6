import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.separation.order import frames_in, left_of, merged, outward

lengths = st.integers(1, 5000)


@given(lengths, st.integers(-10, 6000), st.integers(1, 700))
def test_spans_cover_every_frame_once(length: int, first: int, least: int):
    spans = list(outward(length, first, least))
    assert merged(spans) == ((0, length),)
    assert frames_in(spans) == length
    assert all(begin < end for begin, end in spans)
    begin, end = spans[0]
    assert begin <= min(max(0, first), length - 1)
    assert end == length or end > first or begin == 0


def test_spans_go_outward_and_grow():
    assert list(outward(100_000, 0, 1000)) == [(0, 100_000)]
    spans = list(outward(100_000, 50_300, 1000))
    assert spans[:4] == [(50_000, 51_000), (49_000, 50_000), (51_000, 53_000), (47_000, 49_000)]
    assert len(spans) < 14
    assert list(outward(100_000, 99_999, 1000)) == [(99_000, 100_000), (0, 99_000)]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: (min(pair), max(pair) + 1))))
def test_what_is_done_and_what_is_left_make_the_whole(done: list[tuple[int, int]]):
    left = list(left_of((10, 40), done))
    covered = {frame for begin, end in done for frame in range(begin, end)}
    assert {frame for begin, end in left for frame in range(begin, end)} == set(range(10, 40)) - covered
    assert {frame for begin, end in merged(done) for frame in range(begin, end)} == covered
    assert all(one[1] < other[0] for one, other in zip(merged(done), merged(done)[1:], strict=False))


@pytest.mark.parametrize("span", [(0, 10), (40, 50)])
def test_nothing_is_left_of_what_is_done(span: tuple[int, int]):
    assert list(left_of(span, [(0, 50)])) == []
    assert list(left_of(span, [])) == [span]
