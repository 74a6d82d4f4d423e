"""Corruption of references: rates as published, what stays, and the same seed's same draw."""

from __future__ import annotations

import pytest
import torch

from humanmotion.generation.corruption import Corruption, corrupted

NOTHING = Corruption(noisy=(0, 0), blended=(0, 0), lost=0)


def draw(kind, *, count=400, frames=80, seed=0, ends=None):
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randn(count, frames, 6, generator=generator).cumsum(1)
    ends = torch.full((count, 1), frames) if ends is None else ends
    mask = torch.arange(frames) < ends
    return clean, mask, *corrupted(clean, mask, generator=generator, kind=kind)


def test_nothing_spoilt_is_clean() -> None:
    clean, mask, spoilt, kept = draw(NOTHING)
    assert torch.equal(spoilt, clean) and torch.equal(kept, mask)


def test_noise_comes_at_the_published_rate_and_size() -> None:
    clean, _, spoilt, _ = draw(Corruption(blended=(0, 0), lost=0))
    away = spoilt - clean
    hit = away.abs().amax(-1) > 1e-6
    share = hit.float().mean(1)
    assert float(share.mean()) == pytest.approx(0.2, abs=0.02) and float(share.max()) < 0.6
    assert 0.0 <= float(share.min()) < 0.03
    sizes = torch.stack([a[h].std() for a, h in zip(away, hit, strict=True) if h.sum() > 20])
    assert float(sizes.mean()) == pytest.approx(0.1, abs=0.01)
    assert float(sizes.min()) > 0.03 and float(sizes.max()) < 0.19


def test_blends_lie_between_their_neighbours() -> None:
    clean, _, spoilt, _ = draw(Corruption(noisy=(0, 0), lost=0))
    hit = (spoilt - clean).abs().amax(-1) > 1e-6
    assert float(hit.float().mean()) == pytest.approx(0.055, abs=0.01)
    assert not hit[:, 0].any() and not hit[:, -1].any()
    for clip, frame in hit.nonzero()[:200].tolist():
        before, after = clean[clip, frame - 1], clean[clip, frame + 1]
        way = before - after
        share = (spoilt[clip, frame] - after) @ way / way.square().sum()
        assert 0.34 < float(share) < 0.66
        want = share * before + (1 - share) * after
        torch.testing.assert_close(spoilt[clip, frame], want, atol=1e-4, rtol=1e-4)


def test_lost_frames_are_zero_and_masked() -> None:
    _, _, spoilt, kept = draw(Corruption())
    assert float((~kept).float().mean()) == pytest.approx(0.02, abs=0.004)
    assert not spoilt[~kept].any()


def test_padding_stays_padding_and_no_clip_loses_all() -> None:
    ends = torch.tensor([[1], [7], [80]]).repeat(100, 1)
    _, mask, spoilt, kept = draw(Corruption(lost=0.95), count=300, ends=ends)
    assert kept.any(1).all() and not (kept & ~mask).any() and not spoilt[~mask].any()


def test_a_seed_is_a_draw() -> None:
    a, b, c = (draw(Corruption(), seed=s)[2] for s in (3, 3, 4))
    assert torch.equal(a, b) and not torch.equal(a, c)
