"""Single poses from 2D keypoints: synthetic cameras with a detector's noise, every prior in one solver.

Test poses with a level pelvis, turned at random, before a camera at 2 to 5 m whose focal length is 1 to
1.5 picture widths. Keypoints err by 2 to 8 pixels, as their confidence says; limbs are hidden, and what
is outside the picture is not seen. Neither root nor place is known.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from humanmotion.bench.prior_intervals import difference, grouped
from humanmotion.bench.prior_methods import Method
from humanmotion.bench.report import Baseline, Row
from humanmotion.body import BodyModel
from humanmotion.body.carried_points import CarriedPoints, positions
from humanmotion.body.named_points import named_points, set_points
from humanmotion.camera import default_focal, intrinsics, project
from humanmotion.errors import UsageError
from humanmotion.jobs.prior_data import PoseSet
from humanmotion.metrics.pose import mpjpe, pa_mpjpe
from humanmotion.prior.keypoint_fitting import (
    FIRST_LEVELS,
    SIDES,
    fit_pixels,
    misfit,
    next_levels,
    side_starts,
)
from humanmotion.prior.model import PosePrior
from humanmotion.prior.problem import Chain, Pixels, Poses
from humanmotion.prior.solver import Expect, Settings, solve
from humanmotion.prior.space import PoseSpace
from humanmotion.rotations import rotvec_to_matrix

SEED = 0
JOINTS = tuple(range(22))
JOINT_SET = "openpose_25"
WIDTH = 1000
"""Pixels of the square picture."""
FOCAL, DEPTH, SIGMA = (1.0, 1.5), (2.0, 5.0), (2.0, 8.0)
"""Ranges of the focal length in widths, of the distance in metres, of a keypoint's noise in pixels."""
OFF_CENTRE = 0.1
"""Widths by which the pelvis is off the picture's middle, at most."""
HIDDEN = 0.2
"""Chance of each limb to be hidden."""
LIMBS = tuple(tuple(f"{side}_{part}" for part in parts) for side in ("left", "right") for parts in
              (("elbow", "wrist"), ("knee", "ankle", "big_toe", "small_toe", "heel")))  # fmt: skip
SPEED_POSES = 100
MOVEMENT = "ours, temporal"
"""Methods that know movement alone, and have nothing to say of a single pose."""
NODES = 4
"""Places between two poses at which a prior is asked how the density changes."""


@dataclass(frozen=True)
class PixelErrors:
    """Of one method, millimetres."""

    pa: Tensor
    """PA-MPJPE `(N)`."""
    root: Tensor
    """MPJPE with the hips at the origin, in the camera's axes, `(N)`."""

    def rows(self, key: str, who: str) -> list[Row]:
        """Both means."""
        return [Row(key, f"PA-MPJPE from keypoints, {len(self.pa)} pictures{who}",
                    float(self.pa.mean()), "mm"),
                Row(f"{key}/MPJPE", "hips at the origin, camera's axes",
                    float(self.root.mean()), "mm")]  # fmt: skip


@dataclass(frozen=True)
class Pictures:
    """`N` poses and what a detector would see of them."""

    body: BodyModel
    points: CarriedPoints
    joints: Tensor
    """`(N, 22, 3)` in the camera's axes, metres."""
    pixels: Pixels
    clips: tuple[str, ...]
    """`set/clip` of each."""
    space: PoseSpace
    """Its mean pose is where every method begins."""

    @classmethod
    def draw(cls, poses: PoseSet, *, count: int, space: PoseSpace) -> Pictures:
        """Pictures of `count` of `poses`, or of all if there are fewer."""
        body = BodyModel.load()
        generator = torch.Generator().manual_seed(SEED)
        chosen = poses[torch.randperm(len(poses), generator=generator)[:count]]
        named = set_points(body, JOINT_SET)
        points = named_points(body, list(named.values()), joints=JOINTS, betas=torch.zeros(10))
        count = len(chosen)
        yaw = _between((0.0, 2 * torch.pi), count, generator)
        turn = rotvec_to_matrix(yaw[:, None] * torch.tensor((0.0, 1.0, 0.0)))
        # Upright in axes whose y points down.
        root = torch.diag(torch.tensor((1.0, -1.0, -1.0))) @ turn
        rotations = torch.cat((root[:, None], chosen.rotations), 1)
        depth = _between(DEPTH, count, generator)
        focal = _between(FOCAL, count, generator)
        aside = (2 * torch.rand(count, 2, generator=generator) - 1) * OFF_CENTRE / focal[:, None]
        place = torch.cat((aside, torch.ones(count, 1)), -1) * depth[:, None]
        K = intrinsics(WIDTH * focal, width=WIDTH, height=WIDTH)
        xy = project(positions(points, rotations, place), K)
        pixels = _detected(Pixels(xy, torch.zeros(xy.shape[:-1]), K), list(named), generator)
        joints = body.joints(rotations)[:, : len(JOINTS)]
        clips = tuple(poses.names[int(i)] for i in chosen.clip)
        return cls(body, points, joints, pixels, clips, space)

    def without_focal(self) -> Pictures:
        """The same, where the focal length is not known and the picture's diagonal is taken for it."""
        K = intrinsics(default_focal(WIDTH, WIDTH), width=WIDTH, height=WIDTH)
        return replace(self, pixels=replace(self.pixels, K=K.expand_as(self.pixels.K)))

    def errors(self, method: Method) -> PixelErrors:
        """Of the likeliest poses of all pictures at once, by the steps of `fit_pixels`.

        From several sides at falling levels, then on from the cheapest; that a prior's
        cost of a pose is `surprise` is the one difference, since others than ours have no `score`.
        """
        chain, settings = Chain(self.points, method.space), Settings()
        expect = method.expects(1, _no_look)
        count = len(self.joints)
        first, every = side_starts(Chain(self.points, self.space), self.pixels)
        turned = self.space.to_rotations(first.state, first.root)
        first = replace(first, state=method.space.to_state(turned))
        found = solve(chain, [every], expect, start=first, levels=FIRST_LEVELS, settings=settings)
        cost = misfit(chain, every, found, settings=settings)
        cost = cost + surprise(expect, first.state, found.state, level=FIRST_LEVELS[-1],
                               numbers=chain.free)  # fmt: skip
        rows = cost.reshape(SIDES, count).argmin(0) * count + torch.arange(count)
        start = Poses(found.state[rows], found.root[rows], found.place[rows])
        best = solve(chain, [self.pixels], expect, start=start, levels=next_levels(settings),
                     settings=settings)  # fmt: skip
        return self.compared(method.space.to_rotations(best.state, best.root))

    def compared(self, rotations: Tensor) -> PixelErrors:
        """Errors of poses `(N, 55, 3, 3)` whose roots are in the camera's axes."""
        found = self.body.joints(rotations)[:, : len(JOINTS)]
        return PixelErrors(1000 * pa_mpjpe(found, self.joints), 1000 * mpjpe(found, self.joints))

    def seconds(self, prior: PosePrior) -> float:
        """That `fit_pixels` takes for the first hundred: the median of three, after one to warm up."""
        some = self.pixels.at(torch.arange(min(SPEED_POSES, len(self.joints))))
        xy = torch.where(some.sigma.isfinite()[..., None], some.xy, torch.nan)
        sigma = torch.where(some.sigma.isfinite(), some.sigma, 1.0)
        spent = []
        for _ in range(4):
            started = time.perf_counter()
            fit_pixels(prior, self.points, xy, sigma=sigma, K=some.K)
            spent.append(time.perf_counter() - started)
        return sorted(spent[1:])[1]


def pixel_rows(
    prior: PosePrior,
    test: PoseSet,
    compared: Sequence[Method],
    *,
    poses: int,
    by: Mapping[str, str],
) -> list[Row]:
    """Of every method in `compared` that knows single poses, one of them `ours`.

    `by` says the action of each clip (`prior_intervals.actions`); whole actions are drawn for the
    interval.
    """
    task = Pictures.draw(test, count=poses, space=prior.space)
    found = {m.name: task.errors(m) for m in compared if m.name != MOVEMENT}
    rows = [r for name, e in found.items() for r in e.rows(f"pixels/{name}", "")]
    one = found.pop("ours")
    best = min(found, key=lambda name: float(found[name].pa.mean()))
    gain = difference(one.pa, found[best].pa, grouped(task.clips, by))
    peer = float(found[best].pa.mean())
    mine = next(m for m in compared if m.name == "ours")
    blind = task.without_focal().errors(mine)
    return [
        *rows,
        *blind.rows("pixels/ours, focal unknown", ", the diagonal taken for the focal length"),
        Row("pixels/over best other", "PA-MPJPE over that of the best other prior",
            float(one.pa.mean()) / peer, "x", 1.0, "<=", Baseline(best, peer)),
        *gain.rows("pixels/over best other", f"PA-MPJPE less that of {best}", "mm"),
        Row("speed/pixels", f"{SPEED_POSES} pictures of their own, 4 draws", task.seconds(prior),
            "s", 5.0, "<="),
    ]  # fmt: skip


def surprise(
    expect: Expect, origin: Tensor, state: Tensor, *, level: float, numbers: Sequence[int]
) -> Tensor:
    """Log density of `origin` over that of `state`, both `(N, 172)`, smeared by `level`: `(N)`.

    The slope of the log density is (expected clean pose - pose) / level^2 (Tweedie), along the line
    between them by Gauss-Legendre; exact for a Gaussian. Only `numbers` count.
    """
    way, total = state - origin, torch.zeros(len(state))
    for place, weight in zip(*np.polynomial.legendre.leggauss(NODES), strict=True):
        here = origin + (1 + float(place)) / 2 * way
        pull = ((here - expect(here, level)) * way)[:, list(numbers)].sum(-1)
        total = total + float(weight) / 2 * pull / level**2
    return total


def _no_look() -> tuple[Tensor, Tensor]:
    raise UsageError("pictures of their own have no movement to look at")


def _between(ends: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    return ends[0] + (ends[1] - ends[0]) * torch.rand(count, generator=generator)


def _detected(exact: Pixels, names: list[str], generator: torch.Generator) -> Pixels:
    """With noise of known size, without hidden limbs and what is outside the picture."""
    shape = exact.xy.shape[:-1]
    sigma = SIGMA[0] + (SIGMA[1] - SIGMA[0]) * torch.rand(shape, generator=generator)
    xy = exact.xy + sigma[..., None] * torch.randn(exact.xy.shape, generator=generator)
    there = ((xy >= 0) & (xy <= WIDTH)).all(-1)
    for limb in LIMBS:
        hidden = torch.rand(len(xy), generator=generator) < HIDDEN
        there[:, [i for i, name in enumerate(names) if name in limb]] &= ~hidden[:, None]
    return Pixels(torch.where(there[..., None], xy, 0.0),
                  torch.where(there, sigma, torch.inf), exact.K)  # fmt: skip
