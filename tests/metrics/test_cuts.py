"""Found cuts against true ones: worked cases, and every pairing tried."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from humanmotion.metrics.cuts import CutScore, match_cuts, score_cuts

HARD = [(30, 30), (60, 60)]


@pytest.mark.parametrize(
    ("found", "tolerance", "hits"),
    [([30, 60], 0, 2), ([31, 60], 0, 1), ([31, 59], 1, 2), ([32], 1, 0), ([32], 2, 1), ([], 2, 0)],
)
def test_hard_cuts(found, tolerance, hits) -> None:
    assert score_cuts(found, HARD, tolerance=tolerance) == CutScore(hits, len(found), 2)


def test_a_dissolve_is_found_anywhere_within_it_but_once() -> None:
    span = [(40, 50)]
    for frame, hit in ((38, None), (39, 39), (45, 45), (51, 51), (52, None)):
        assert match_cuts([frame], span, tolerance=1) == [hit]
    score = score_cuts([41, 46, 50], span, tolerance=1)
    assert (score.hits, score.recall, score.precision) == (1, 1.0, 1 / 3)
    assert match_cuts([41, 46, 50], span, tolerance=1) == [46]


def test_shares_of_nothing() -> None:
    nothing, invented = CutScore(), CutScore(0, 2, 0)
    assert (nothing.recall, nothing.precision, nothing.f1) == (1.0, 1.0, 1.0)
    assert (invented.recall, invented.precision, invented.f1) == (1.0, 0.0, 0.0)
    both = CutScore(3, 4, 5) + CutScore(1, 1, 2)
    assert both == CutScore(4, 5, 7) and both.f1 == pytest.approx(8 / 12)


@pytest.mark.parametrize("seed", range(20))
def test_no_pairing_hits_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = sorted(rng.choice(30, 4, replace=False).tolist())
    starts = sorted(rng.choice(30, 3, replace=False).tolist())
    spans = [(a, a + int(rng.integers(0, 6))) for a in starts]
    most = max(
        sum(a - 1 <= found[i] <= b + 1 for i, (a, b) in zip(order, spans, strict=True))
        for order in permutations(range(4), 3)
    )
    matched = match_cuts(found, spans, tolerance=1)
    hit = [m for m in matched if m is not None]
    assert len(hit) == len(set(hit)) == most
    assert all(m is None or a - 1 <= m <= b + 1 for m, (a, b) in zip(matched, spans, strict=True))
