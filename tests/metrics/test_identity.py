"""IDF1 of cases worked out by hand, and against every pairing of tracks."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch

from humanmotion.errors import MotionError
from humanmotion.metrics.identity import IdentityScore, box_overlap, identity_score

LEFT, RIGHT = (torch.tensor((x, 0.0, x + 10.0, 20.0)).expand(10, 4) for x in (0.0, 50.0))


def _swapped(at: int) -> list[torch.Tensor]:
    return [torch.cat((LEFT[:at], RIGHT[at:])), torch.cat((RIGHT[:at], LEFT[at:]))]


def test_everybody_followed_throughout() -> None:
    assert identity_score([RIGHT, LEFT], [LEFT, RIGHT]) == IdentityScore(20, 20, 20)
    assert identity_score([RIGHT, LEFT], [LEFT, RIGHT]).idf1 == 1.0


def test_tracks_that_swap_after_seven_of_ten_frames() -> None:
    # Each track is right for 7 frames: IDTP 14, IDFP 6, IDFN 6.
    score = identity_score(_swapped(7), [LEFT, RIGHT])
    assert score == IdentityScore(14, 20, 20) and score.idf1 == pytest.approx(0.7)


def test_a_person_in_two_pieces_and_one_never_found() -> None:
    first, second = LEFT.clone(), LEFT.clone()
    first[6:], second[:6] = 0, 0
    # The longer piece counts (6 of 20), the shorter one is four wrong boxes.
    score = identity_score([first, second], [LEFT, RIGHT])
    assert score == IdentityScore(6, 10, 20) and score.idf1 == pytest.approx(12 / 30)


def test_boxes_that_overlap_by_less_than_half_are_nobodys() -> None:
    near, far = (LEFT + torch.tensor((dx, 0.0, dx, 0.0)) for dx in (3.0, 4.0))
    assert float(box_overlap(near, LEFT)[0]) == pytest.approx(7 / 13)
    assert identity_score([near], [LEFT]).right == 10
    assert identity_score([far], [LEFT]) == IdentityScore(0, 10, 10)


def test_nobody() -> None:
    assert identity_score([], []).idf1 == 1.0
    assert identity_score([], [LEFT]) == IdentityScore(0, 0, 10)
    assert identity_score([LEFT], []).idf1 == 0.0
    assert identity_score([LEFT], [torch.zeros(10, 4)]) == IdentityScore(0, 10, 0)
    assert identity_score([LEFT], [LEFT]) + IdentityScore(1, 2, 3) == IdentityScore(11, 12, 13)


def test_tracks_of_different_length() -> None:
    with pytest.raises(MotionError, match="true boxes"):
        identity_score([LEFT], [RIGHT[:5]])


@pytest.mark.parametrize("seed", range(10))
def test_no_other_pairing_is_better(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    low = 20 * torch.rand(7, 12, 2, generator=generator)
    boxes = torch.cat((low, low + 12), -1)
    true, found = list(boxes[:3]), list(boxes[3:])
    best = 0
    for order in permutations(range(4), 3):
        hits = [
            int((box_overlap(found[j], t) >= 0.5).sum()) for t, j in zip(true, order, strict=True)
        ]
        best = max(best, sum(hits))
    assert identity_score(found, true).right == best
