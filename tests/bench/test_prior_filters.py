"""Each kind of filter with the width that suits val, and a body fitted to what it leaves."""

from __future__ import annotations

import pytest
import torch

from humanmotion.bench import prior_filters
from humanmotion.bench.prior_denoising import FRAMES, Denoising
from humanmotion.bench.prior_filters import FILTERS, filtered
from humanmotion.bench.prior_methods import Method
from humanmotion.jobs.prior_data import PoseSet
from humanmotion.prior.space import SIZE, TOKENS, PoseSpace

SIGMA = 0.05
SPACE = PoseSpace(torch.eye(3).expand(54, 3, 3), torch.full((SIZE,), 0.3))


def task(hertz: float) -> Denoising:
    """One clip in which every joint swings."""
    time = torch.arange(FRAMES) / 30
    swing = 0.4 * (2 * torch.pi * hertz * time).sin()
    poses = PoseSet(
        swing[:, None, None].expand(FRAMES, 54, 3).clone(), torch.zeros(FRAMES, 10),
        torch.ones(FRAMES, TOKENS, dtype=torch.bool), torch.zeros(FRAMES, dtype=torch.long),
        ("cmu/swing",),
    )  # fmt: skip
    return Denoising.draw(poses, clips=1, space=SPACE)


@pytest.mark.parametrize("kind", list(FILTERS))
def test_val_decides_the_width(kind) -> None:
    """A still body wants the widest filter, one that shakes does not."""
    widths = FILTERS[kind]
    still, quick = (prior_filters._chosen(widths, task(hz), SIGMA) for hz in (0.0, 4.0))
    assert still is not quick


def test_every_kind_does_better_than_no_filter() -> None:
    slow = task(0.5)
    nothing = Method("none", SPACE, lambda frames, look: lambda state, level: state)
    plain = slow.solved(nothing, slow.seen(SIGMA), sigma=SIGMA)
    found = filtered(slow, slow, nothing, sigma=SIGMA)
    assert set(found) == set(FILTERS)
    for errors in found.values():
        assert float(errors.mpjpe.mean()) < 0.8 * float(plain.mpjpe.mean())
