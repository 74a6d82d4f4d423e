"""Bodies fitted to points in space: denoising, inverse kinematics, markers.

One routine for all: the posterior of `solver`, several draws of it, their mean and their spread. What
differs is which points were seen, and how well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import CarriedPoints
from humanmotion.errors import UsageError
from humanmotion.metrics.pose import procrustes
from humanmotion.prior.model import Kind, PosePrior
from humanmotion.prior.orientations import Turns
from humanmotion.prior.problem import Chain, Observation, Places, Poses
from humanmotion.prior.solver import Settings, refine, solve
from humanmotion.prior.space import SIZE, TOKENS

Progress = Callable[[float], None]
"""Called with the share that is done."""
HYPOTHESES = 4
FIRST_SIGMA = 0.03
"""Metres: what the noise of points is taken for until it has been measured."""
SIGMA_RANGE = (0.002, 0.3)
LEAST_SIGMA = 0.0005
LEAST_SPREAD = 1e-3
SIGMA_ROUNDS = 2


@dataclass(frozen=True)
class Fit:
    """`K` draws of the posterior of `T` poses."""

    prior: PosePrior
    states: Tensor
    """`(K, T, 172)`."""
    roots: Tensor
    """`(K, T, 3, 3)`."""
    places: Tensor
    """Pelvis `(K, T, 3)`."""
    best: Poses
    """The mean of the draws, brought to agree with the observations again."""
    sigma: float
    """Noise of a coordinate, given or measured, metres. A measured one is too low by what the pose
    could follow."""

    @property
    def rotations(self) -> Tensor:
        """Local rotations `(T, 55, 3, 3)` of the best poses."""
        return self.prior.space.to_rotations(self.best.state, self.best.root)

    @property
    def place(self) -> Tensor:
        """Pelvis `(T, 3)` of the best poses."""
        return self.best.place

    def joint_std(self, body: BodyModel, betas: Tensor | None = None) -> Tensor:
        """Standard deviation `(T, 55)` of each joint's place over the draws, metres."""
        turned = self.prior.space.to_rotations(self.states, self.roots)
        joints = body.joints(turned, betas=betas)
        joints = joints - joints[..., :1, :] + self.places[..., None, :]
        return joints.var(0, unbiased=len(joints) > 1).sum(-1).sqrt()


def fit_places(
    prior: PosePrior,
    points: CarriedPoints,
    xyz: Tensor,
    *,
    sigma: Tensor | float | None = None,
    root: Tensor | None = None,
    place: Tensor | None = None,
    turns: Turns | None = None,
    kind: Kind = "motion",
    hypotheses: int = HYPOTHESES,
    settings: Settings | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fit:
    """Poses whose `points` are where they were seen, `xyz` `(T, L, 3)` metres; NaN where not seen.

    `sigma` in metres, one value or `(T, L)`; None measures it. `root` `(T, 3, 3)` and `place`
    `(T, 3)` where they are known; `turns` are orientations that were seen. Frames are at 30 fps for
    `motion`. Raises UsageError when fewer than three points (with `turns`, fewer than one) are seen
    in every frame, for `sigma` below half a millimetre, and for fewer than one hypothesis.
    """
    if hypotheses < 1:
        raise UsageError(f"{hypotheses} hypotheses asked for; give at least 1")
    # Below, the normal equations lose their last digits in single precision. NaN fails too.
    if sigma is not None and not bool((torch.as_tensor(sigma) >= LEAST_SIGMA).all()):
        raise UsageError(f"sigma {sigma} m given; give at least {LEAST_SIGMA}")
    seen = torch.isfinite(xyz).all(-1)
    least = 3 if turns is None else 1
    if int(seen.sum(-1).amax()) < least:
        raise UsageError("fewer than three points are seen in every frame; give at least three")
    target = _filled(xyz, seen, least)
    settings = _known(settings or Settings(), root, place)
    chain = Chain(points, prior.space)
    first = _first(chain, target, seen, root=root, place=place, turns=turns)
    chain = chain if turns is None else Chain(turns.carried_with(points), prior.space)
    level = FIRST_SIGMA if sigma is None else sigma
    told = _Told(progress, 1 + (SIGMA_ROUNDS if sigma is None else 0))
    for _ in range(SIGMA_ROUNDS if sigma is None else 0):
        draw = draw_poses(
            prior, chain, seen_places(target, seen, level, turns=turns), first=first, kind=kind,
            hypotheses=1, settings=settings, seed=seed, progress=told,
        )  # fmt: skip
        level = _measured(chain, draw, target, seen)
    fit = draw_poses(
        prior, chain, seen_places(target, seen, level, turns=turns), first=first, kind=kind,
        hypotheses=hypotheses, settings=settings, seed=seed, progress=told,
    )  # fmt: skip
    return replace(fit, sigma=float(torch.as_tensor(level).mean()))


@dataclass
class _Told:
    """Shares of several rounds of draws as one."""

    progress: Progress | None
    rounds: int
    done: int = 0

    def __call__(self, share: float) -> None:
        if self.progress is not None:
            self.progress((self.done + share) / self.rounds)
        self.done += share >= 1


def seen_places(
    target: Tensor, seen: Tensor, sigma: Tensor | float, *, turns: Turns | None
) -> list[Observation]:
    """Observations of points `(T, L, 3)`, where `seen` `(T, L)`, and of orientations."""
    places = Places(target, torch.where(seen, torch.as_tensor(sigma).float(), torch.inf))
    return [places] if turns is None else turns.observations(places)


def _filled(xyz: Tensor, seen: Tensor, least: int) -> Tensor:
    """`xyz` with the middle of what its frame, or the nearest one, shows where nothing was seen."""
    count = seen.sum(-1)
    middle = torch.where(seen[..., None], xyz, torch.zeros(())).sum(1) / count.clamp(min=1)[:, None]
    whole = (count >= least).nonzero()[:, 0]
    nearest = whole[(torch.arange(len(xyz))[:, None] - whole).abs().argmin(-1)]
    middle = torch.where((count >= least)[:, None], middle, middle[nearest])
    return torch.where(seen[..., None], xyz, middle[:, None])


def _known(settings: Settings, root: Tensor | None, place: Tensor | None) -> Settings:
    return replace(settings, root_known=root is not None, place_known=place is not None)


def _first(
    chain: Chain,
    target: Tensor,
    seen: Tensor,
    *,
    root: Tensor | None,
    place: Tensor | None,
    turns: Turns | None,
) -> Poses:
    """The mean pose, turned and moved onto what was seen of each frame."""
    frames = len(target)
    poses = Poses(torch.zeros(frames, SIZE), torch.eye(3).expand(frames, 3, 3).clone(),
                  torch.zeros(frames, 3))  # fmt: skip
    if root is not None and place is not None:
        return Poses(poses.state, root, place)
    points, _ = chain.linearise(poses)
    weights = torch.where(seen, 1.0, 1e-6)
    onto = procrustes(points, target, scale=False, weights=weights)
    turned = onto.rotation if root is None else root
    if root is None and turns is not None:
        # Fewer than three points leave the root's turn open; an orientation does not.
        facing, known = turns.root_of(chain, poses)
        use = known & (seen.sum(-1) < 3)
        turned = torch.where(use[:, None, None], facing, turned)
    middle = (weights[..., None] * (target - points @ turned.mT)).sum(1) / weights.sum(1)[:, None]
    return Poses(poses.state, turned, middle if place is None else place)


def draw_poses(
    prior: PosePrior,
    chain: Chain,
    observations: Sequence[Observation],
    *,
    first: Poses,
    kind: Kind,
    hypotheses: int,
    settings: Settings,
    seed: int,
    progress: Progress | None = None,
) -> Fit:
    """Draws from `first` on, of poses of which `observations` were made; see `solver.solve`."""
    frames, calls = len(first.state), 0
    solved = torch.zeros(TOKENS, dtype=torch.bool)
    solved[[j - 1 for j in chain.points.joints[1:]]] = True

    def expect(state: Tensor, level: float) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        if progress is not None:
            progress(calls / len(settings.levels))
        # What is not solved for is not known either: the prior is shown nothing of it.
        levels = torch.where(solved, torch.tensor(level), torch.inf)
        clean = prior.denoise(state.reshape(hypotheses, frames, SIZE), levels, kind=kind)
        return clean.reshape(-1, SIZE), prior.sigma(level, kind=kind).expand(len(state), SIZE)

    start = Poses(*(x.repeat(hypotheses, *[1] * (x.ndim - 1)) for x in
                    (first.state, first.root, first.place)))  # fmt: skip
    repeated = [_repeated(o, hypotheses) for o in observations]
    generator = torch.Generator().manual_seed(seed)
    found = solve(chain, repeated, expect, start=start, settings=settings, generator=generator)
    lead = (hypotheses, frames)
    states, roots = found.state.reshape(*lead, SIZE), found.root.reshape(*lead, 3, 3)
    places = found.place.reshape(*lead, 3)
    mean = Poses(states.mean(0), _mean_rotation(roots), places.mean(0))
    spread = uncertainty_of_mean(states)
    best = refine(chain, observations, mean, sigma=spread, settings=settings)
    return Fit(prior, states, roots, places, best, 0.0)


def uncertainty_of_mean(states: Tensor) -> Tensor:
    """Standard deviation `(T, 172)` of the mean of draws `(K, T, 172)`; hardly any for a single one."""
    return (states.std(0, unbiased=False) / len(states) ** 0.5).clamp(min=LEAST_SPREAD)


def _mean_rotation(rotations: Tensor) -> Tensor:
    """`(K, T, 3, 3)` to `(T, 3, 3)`: the rotation nearest to the mean matrix."""
    u, _, vh = torch.linalg.svd(rotations.mean(0))
    sign = torch.ones_like(u[..., 0])
    sign[..., -1] = torch.linalg.det(u @ vh)
    return (u * sign[..., None, :]) @ vh


def _repeated(seen: Observation, times: int) -> Observation:
    fields = {k: v.repeat(times, *[1] * (v.ndim - 1)) for k, v in vars(seen).items()}
    return type(seen)(**fields)


def _measured(chain: Chain, fit: Fit, target: Tensor, seen: Tensor) -> float:
    """Noise of the points about a fit, from their median residual, metres."""
    points, _ = chain.linearise(fit.best)
    away = (points[:, : target.shape[1]] - target).abs()[seen]
    # The median of a normal's absolute value is 0.6745 of its deviation.
    found = float(away.median()) / 0.6745
    return min(max(found, SIGMA_RANGE[0]), SIGMA_RANGE[1])
