"""Bodies fitted to points in pictures.

A picture does not say whether somebody is seen from the front or from the back. So every frame is
fitted from several sides; the side is chosen by the cost of what was found, over a sequence by that of
the cheapest path that does not jump about (Viterbi).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.body.carried_points import CarriedPoints
from humanmotion.errors import UsageError
from humanmotion.prior.fitting import HYPOTHESES, Fit, Progress, best_poses, draw_poses
from humanmotion.prior.model import Kind, PosePrior
from humanmotion.prior.problem import Chain, Pixels, Poses
from humanmotion.prior.scoring import score
from humanmotion.prior.solver import Settings, falling
from humanmotion.prior.space import SIZE, TOKENS
from humanmotion.rotations import geodesic_distance, rotvec_to_matrix

LEAST_POINTS = 3
LEAST_PIXELS = 0.2
"""Pixels: below, the normal equations lose their last digits."""
SIDES = 4
"""Directions from which every frame is first fitted."""
FIRST_LEVELS = falling(1.8, 0.12, 8)
JUMP = 0.5
"""Radians between neighbouring frames that cost as much as a standard deviation."""
DEPTHS = (0.3, 300.0)
"""Metres between which people are looked for."""
SHARE_FIRST, SHARE_DRAWS = 0.3, 0.6
"""Of the whole work, that of the first fits; what is done when draws begin."""
NEXT_LEVEL = 0.4
"""Where the likeliest poses go on from the first fits."""


def fit_pixels(
    prior: PosePrior,
    points: CarriedPoints,
    xy: Tensor,
    *,
    sigma: Tensor | float,
    K: Tensor,
    kind: Kind = "pose",
    hypotheses: int = HYPOTHESES,
    settings: Settings | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fit:
    """Poses whose `points` are seen at `xy` `(T, L, 2)` pixels; NaN where not seen.

    `sigma` in pixels, one value or `(T, L)`; intrinsics `K` `(3, 3)` or `(T, 3, 3)`. Roots and
    places are in the camera's axes; the fit's `sigma` is the mean of the given one. For `pose` the
    frames are pictures of their own, for `motion` a sequence at 30 fps. Raises UsageError when
    fewer than three points are seen in every frame, for `sigma` below a fifth of a pixel, and for
    fewer than one hypothesis.
    """
    seen = xy.isfinite().all(-1)
    _check(seen, torch.as_tensor(sigma), hypotheses)
    # One or two points hold nobody, but would pull a body to the lens.
    held = seen & (seen.sum(-1, keepdim=True) >= LEAST_POINTS)
    spread = torch.where(held, torch.as_tensor(sigma).float(), torch.inf)
    pixels = Pixels(torch.where(seen[..., None], xy, 0.0), spread, K.expand(len(xy), 3, 3))
    chain, tell = Chain(points, prior.space), progress or (lambda _: None)
    settings = settings or Settings()
    found = best_sides(prior, chain, pixels, kind=kind, settings=settings, seed=seed)
    tell(SHARE_FIRST)
    # The first fits know as much as these levels tell; from higher ones on, they would be forgotten.
    best = best_poses(
        prior, chain, [pixels], first=found.poses, kind=kind,
        settings=replace(settings, levels=next_levels(settings)),
        progress=lambda share: tell(SHARE_FIRST + (SHARE_DRAWS - SHARE_FIRST) * share),
    )  # fmt: skip
    fit = draw_poses(prior, chain, [pixels], best=best, kind=kind, hypotheses=hypotheses,
                     settings=settings, seed=seed)  # fmt: skip
    tell(1.0)
    return replace(fit, sigma=float(torch.as_tensor(sigma).float().mean()))


def next_levels(settings: Settings) -> tuple[float, ...]:
    """The levels of `settings` that are left after the first fits."""
    return tuple(level for level in settings.levels if level <= NEXT_LEVEL) or settings.levels[-1:]


@dataclass(frozen=True)
class Sides:
    """Each frame's poses from the side that fits."""

    poses: Poses
    cost: Tensor
    """`(T)`: minus the log of the posterior, up to a constant."""


def best_sides(
    prior: PosePrior,
    chain: Chain,
    pixels: Pixels,
    *,
    kind: Kind,
    settings: Settings,
    seed: int,
) -> Sides:
    """Fits of each frame on its own from all sides, and which of them to go on with."""
    frames = len(pixels.xy)
    first, every = side_starts(chain, pixels)
    fit = best_poses(prior, chain, [every], first=first, kind="pose",
                     settings=replace(settings, levels=FIRST_LEVELS))  # fmt: skip
    cost = _cost(prior, chain, every, fit, settings).reshape(SIDES, frames)
    roots = fit.root.reshape(SIDES, frames, 3, 3)
    side = cost.argmin(0) if kind == "pose" else _path(cost, roots)
    rows = side * frames + torch.arange(frames)
    poses = Poses(fit.state[rows], fit.root[rows], fit.place[rows])
    return Sides(_held(poses, pixels), cost[side, torch.arange(frames)])


def side_starts(chain: Chain, pixels: Pixels) -> tuple[Poses, Pixels]:
    """Where the fits of `T` frames begin and what they see, `SIDES * T` of each, side after side."""
    starts = [_start(chain, pixels, 2 * torch.pi * k / SIDES) for k in range(SIDES)]
    first = Poses(*(torch.cat([getattr(s, name) for s in starts]) for name in
                    ("state", "root", "place")))  # fmt: skip
    every = torch.arange(len(pixels.xy)).repeat(SIDES)
    return first, pixels.at(every)


def misfit(chain: Chain, pixels: Pixels, poses: Poses, *, settings: Settings) -> Tensor:
    """`(N)`: outlier-proof half squares of the residuals: minus their log-likelihood."""
    points, slope = chain.linearise(poses)
    residual, _ = pixels.compare(points, slope)
    square = residual.square().sum(-1)
    limit = settings.outlier**2
    data = (square / (1 + square / limit)).sum(-1)
    # What lies behind the camera is not seen by it.
    data = data + limit * ((points[..., 2] < DEPTHS[0]) & pixels.sigma.isfinite()).sum(-1)
    return data / 2


def _check(seen: Tensor, sigma: Tensor, hypotheses: int) -> None:
    if hypotheses < 1:
        raise UsageError(f"{hypotheses} hypotheses asked for; give at least 1")
    # NaN fails too.
    if not bool((sigma >= LEAST_PIXELS).all()):
        raise UsageError(f"a sigma below {LEAST_PIXELS} pixels given; give at least {LEAST_PIXELS}")
    if int(seen.sum(-1).amax()) < LEAST_POINTS:
        raise UsageError("fewer than three points are seen in every frame; give at least three")


def _start(chain: Chain, pixels: Pixels, yaw: float) -> Poses:
    """The mean pose from one side, turned in the picture's plane, moved and scaled onto each frame."""
    frames = len(pixels.xy)
    state = torch.zeros(frames, SIZE)
    # Upright in axes whose y points down, facing the camera; then turned about the body's own y.
    upright = torch.diag(torch.tensor((1.0, -1.0, -1.0)))
    side = upright @ rotvec_to_matrix(torch.tensor((0.0, yaw, 0.0)))
    rest, _ = chain.linearise(Poses(state[:1], side[None], torch.zeros(1, 3)))
    rays = (pixels.xy - pixels.K[:, None, :2, 2]) / pixels.K[:, None, [0, 1], [0, 1]]
    # A similarity of the plane is a product with a complex number.
    own, wanted = torch.view_as_complex(rest[0, :, :2].contiguous()), torch.view_as_complex(rays)
    weight = pixels.sigma**-2
    weight = weight / weight.sum(-1, keepdim=True).clamp(min=1e-12)
    own_middle, middle = (weight * own).sum(-1), (weight * wanted).sum(-1)
    away = own - own_middle[:, None]
    share = (weight * away.abs() ** 2).sum(-1).clamp(min=1e-6)
    factor = (weight * away.conj() * (wanted - middle[:, None])).sum(-1) / share
    depth = 1 / factor.abs().clamp(1 / DEPTHS[1], 1 / DEPTHS[0])
    roll = factor.angle()
    about = torch.stack((torch.zeros(frames), torch.zeros(frames), roll), -1)
    shift = torch.view_as_real(middle - factor * own_middle)
    place = torch.cat((shift, torch.ones(frames, 1)), -1) * depth[:, None]
    return Poses(state, rotvec_to_matrix(about) @ side, place)


def _cost(
    prior: PosePrior, chain: Chain, pixels: Pixels, poses: Poses, settings: Settings
) -> Tensor:
    """`(N)`: how badly the poses meet what was seen, and how implausible they are."""
    solved = torch.zeros(TOKENS, dtype=torch.bool)
    solved[[j - 1 for j in chain.points.joints[1:]]] = True
    odd = 3 * score(prior, poses.state[:, None], present=solved)[:, 0, solved].square().sum(-1)
    return misfit(chain, pixels, poses, settings=settings) + odd / 2


def _path(cost: Tensor, roots: Tensor) -> Tensor:
    """Sides `(T)` of the cheapest path through `cost` `(S, T)`; turning of `roots` costs too."""
    frames = cost.shape[1]
    total, came = cost[:, 0], []
    for t in range(1, frames):
        turn = geodesic_distance(roots[:, None, t - 1], roots[None, :, t])
        onward = total[:, None] + (turn / JUMP).square() / 2
        best, origin = onward.min(0)
        came.append(origin)
        total = best + cost[:, t]
    side = [int(total.argmin())]
    for origin in reversed(came):
        side.append(int(origin[side[-1]]))
    return torch.tensor(side[::-1])


def _held(poses: Poses, pixels: Pixels) -> Poses:
    """Frames that show too little to stand anywhere take the poses of the nearest that show more."""
    count = pixels.sigma.isfinite().sum(-1)
    whole = (count >= LEAST_POINTS).nonzero()[:, 0]
    nearest = whole[(torch.arange(len(count))[:, None] - whole).abs().argmin(-1)]
    rows = torch.where(count >= LEAST_POINTS, torch.arange(len(count)), nearest)
    return Poses(poses.state[rows], poses.root[rows], poses.place[rows])
