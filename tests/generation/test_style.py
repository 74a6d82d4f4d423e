"""Style: means and spreads are carried over, by as much as is asked for, and nothing else is."""

from __future__ import annotations

import pytest
import torch

from humanmotion.diffusion.noise import Noise
from humanmotion.errors import UsageError
from humanmotion.generation.control import Control, directed
from humanmotion.generation.features import POSE, SIZE, features_of
from humanmotion.generation.sampling import Sampling, noise_of, sampled
from humanmotion.generation.streaming import stream
from humanmotion.generation.style import CARRIED, COLUMNS, MOST_SCALED, Style

WALK = "a person walks in a circle"
LEFT = [c for c in range(SIZE) if c not in COLUMNS]


@pytest.fixture(scope="module")
def style(make, wandering, body) -> Style:
    return Style.of(wandering.mirror(), body, make.network)


def drawn(make, style, *, seed=0, frames=40, **options):
    noise = noise_of(Noise(), [seed], [frames])
    condition = make.condition([WALK])
    return sampled(
        make.network, condition, noise, sampling=Sampling(steps=3, **options), style=style
    )


def test_columns_are_the_pose_of_trunk_head_and_arms() -> None:
    assert len(COLUMNS) == len(set(COLUMNS)) == 6 * len(CARRIED)
    assert {c // 6 + 1 for c in COLUMNS} == set(CARRIED) and max(COLUMNS) < POSE.stop


@pytest.mark.parametrize("frames", [12, 50])
def test_a_clip_in_its_own_style_is_itself(make, wandering, body, frames) -> None:
    own = make.network.normalised(features_of(wandering, body))
    style = Style.of(wandering, body, make.network)
    torch.testing.assert_close(style.applied(own[None])[0], own, atol=1e-4, rtol=0)


@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_means_and_spreads_go_as_far_as_is_asked_for(make, wandering, body, strength) -> None:
    x = torch.randn(2, 30, SIZE, generator=torch.Generator().manual_seed(1))
    style = Style.of(wandering, body, make.network, strength=strength)
    y = style.applied(x)
    assert torch.equal(y[..., LEFT], x[..., LEFT])
    was, now = x[..., COLUMNS], y[..., COLUMNS]
    want = torch.lerp(was.mean(1), style.mean.expand(2, -1), strength)
    torch.testing.assert_close(now.mean(1), want, atol=1e-4, rtol=1e-4)
    scale = (style.spread / was.std(1)).clamp(1 / MOST_SCALED, MOST_SCALED)
    torch.testing.assert_close(now.std(1), was.std(1) * (1 + strength * (scale - 1)))


def test_frames_behind_the_end_have_no_say(style) -> None:
    x = torch.randn(1, 20, SIZE, generator=torch.Generator().manual_seed(1))
    mask = torch.arange(30)[None] < 20
    padded = torch.cat((x, 100 * torch.ones(1, 10, SIZE)), 1)
    torch.testing.assert_close(style.applied(padded, mask=mask)[:, :20], style.applied(x))


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_samples_come_out_in_it(make, style, solver) -> None:
    plain, styled = drawn(make, None, solver=solver), drawn(make, style, solver=solver)
    away = [(x[0, :, COLUMNS].mean(0) - style.mean).norm() for x in (plain, styled)]
    assert away[1] < 0.05 * away[0]
    none = Style(style.mean, style.spread, 0.0)
    torch.testing.assert_close(drawn(make, none, solver=solver), plain, atol=1e-5, rtol=0)


def test_all_ways_of_making_are_in_it(make, wandering, body) -> None:
    other = make.in_style_of(wandering.mirror())
    assert make.style is None
    control = Control.of(body, path=[(0.0, 0.0, 0.0), (1.0, 0.5, 0.0)])
    ways = (
        lambda m: m(WALK, seconds=2, steps=2)[0],
        lambda m: directed(m, WALK, control, seconds=2, steps=2)[0],
        lambda m: next(iter(stream(m, WALK, seconds=2, steps=2))),
        lambda m: m.refine(wandering, steps=2),
    )
    want = wandering.mirror().resample(20).rotations[:, CARRIED].mean(0)
    for way in ways:
        a, b = (way(m).rotations[:, CARRIED].mean(0) for m in (make, other))
        assert (b - want).norm() < 0.7 * (a - want).norm()


def test_what_cannot_be(make, wandering) -> None:
    for strength in (-0.1, 1.5, float("nan")):
        with pytest.raises(UsageError, match="give 0 to 1"):
            make.in_style_of(wandering, strength=strength)
    with pytest.raises(UsageError, match=r"style clip of 0.\d+ s given; give 0.5 s or more"):
        make.in_style_of(wandering[:12])
