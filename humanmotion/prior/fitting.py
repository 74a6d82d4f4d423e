"""Bodies fitted to points in space: denoising, inverse kinematics, markers.

One routine for all: the likeliest poses of `solver`, and draws about them for their spread. What
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
from humanmotion.prior.model import FIT_TRUST, Kind, PosePrior
from humanmotion.prior.orientations import Turns
from humanmotion.prior.problem import Chain, Observation, Places, Poses, Shaken
from humanmotion.prior.solver import Settings, leverage, look, solve
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
TOLD_RANGE, LEAST_LEFT = (0.75, 1.33), 0.25
"""Noise found over the noise told within which the latter is believed, and the share of what was seen
that poses must not be able to follow for it to be doubted."""
NORMAL_MEDIAN = 0.6745
"""Of a normal's absolute value, in its standard deviations."""


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
    """The likeliest poses."""
    sigma: float
    """Noise of a coordinate that was gone by, metres: as given, or as measured, which is too low by
    what the pose could follow."""

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

    `sigma` in metres, one value or `(T, L)`; None measures it, and where many points are seen and
    differ from a fit by much more or less than `sigma` tells, it is scaled to what they do. `root`
    `(T, 3, 3)` and `place` `(T, 3)` where they are known; `turns` are orientations that were seen.
    Frames are at 30 fps for `motion`. Raises UsageError when fewer than three points (with `turns`,
    one) are seen in every frame, for `sigma` below half a millimetre, for less than one hypothesis.
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
    told = _Told(progress, 2 + (SIGMA_ROUNDS if sigma is None else 0))
    for _ in range(SIGMA_ROUNDS if sigma is None else 0):
        found = best_poses(prior, chain, seen_places(target, seen, level, turns=turns),
                           first=first, kind=kind, settings=settings, progress=told)  # fmt: skip
        level = _measured(chain, found, target, seen)
    best = best_poses(prior, chain, seen_places(target, seen, level, turns=turns), first=first,
                      kind=kind, settings=settings, progress=told)  # fmt: skip
    if sigma is not None and turns is None:
        level, told_right = _checked(chain, best, target, seen=seen, sigma=sigma, settings=settings)
        if not told_right:
            best = best_poses(prior, chain, seen_places(target, seen, level, turns=turns),
                              first=first, kind=kind, settings=settings)  # fmt: skip
    fit = draw_poses(
        prior, chain, seen_places(target, seen, level, turns=turns), best=best, kind=kind,
        hypotheses=hypotheses, settings=settings, seed=seed,
    )  # fmt: skip
    told(1.0)
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


def best_poses(
    prior: PosePrior,
    chain: Chain,
    observations: Sequence[Observation],
    *,
    first: Poses,
    kind: Kind,
    settings: Settings,
    progress: Progress | None = None,
) -> Poses:
    """The likeliest poses, from `first` on, of which `observations` were made."""
    tell = progress or (lambda _: None)
    done = 0
    classes = None
    if kind == "motion":
        classes = prior.liveliness(*look(chain, observations, first, settings=settings))

    def expect(state: Tensor, level: float) -> Tensor:
        nonlocal done
        done += 1
        tell(done / len(settings.levels))
        levels = _levels(chain, level)
        return prior.denoise(state, levels, kind=kind, classes=classes, trust=FIT_TRUST)

    return solve(
        chain, observations, expect, start=first, levels=settings.levels, settings=settings
    )


def draw_poses(
    prior: PosePrior,
    chain: Chain,
    observations: Sequence[Observation],
    *,
    best: Poses,
    kind: Kind,
    hypotheses: int,
    settings: Settings,
    seed: int,
) -> Fit:
    """Draws about the likeliest poses, which are `best`.

    A draw is the likeliest pose of what might have been seen with other noise, under a prior moved as
    it might have been: exact where both are Gaussian (Papandreou and Yuille 2010, "Gaussian Sampling by
    Local Perturbations").
    """
    generator = torch.Generator().manual_seed(seed)
    lead, classes = (hypotheses, len(best.state)), None
    if kind == "motion":
        classes = prior.liveliness(*look(chain, observations, best, settings=settings))
    shift = prior.draw_shift(lead, classes, generator=generator)
    every = None if classes is None else classes.expand(hypotheses, -1, -1, -1)

    def expect(state: Tensor, level: float) -> Tensor:
        levels = _levels(chain, level)
        clean = prior.denoise(state.reshape(*lead, SIZE), levels, kind=kind, classes=every,
                              trust=FIT_TRUST)  # fmt: skip
        moved = prior.shifted(shift, levels, kind=kind, classes=every)
        return (clean + moved).reshape(-1, SIZE)

    start = Poses(*(x.repeat(hypotheses, *[1] * (x.ndim - 1)) for x in
                    (best.state, best.root, best.place)))  # fmt: skip
    shaken = [_shaken(chain, o, best, hypotheses, generator) for o in observations]
    found = solve(chain, shaken, expect, start=start, levels=settings.draw_levels,
                  settings=settings)  # fmt: skip
    return Fit(prior, found.state.reshape(*lead, SIZE), found.root.reshape(*lead, 3, 3),
               found.place.reshape(*lead, 3), best, 0.0)  # fmt: skip


def _levels(chain: Chain, level: float) -> Tensor:
    """`(55)`: what is not solved for is not known either, and the prior is shown nothing of it."""
    out = torch.full((TOKENS,), torch.inf)
    out[[j - 1 for j in chain.points.joints[1:]]] = level
    return out


def _shaken(
    chain: Chain, seen: Observation, best: Poses, times: int, generator: torch.Generator
) -> Observation:
    one = torch.zeros(1, dtype=torch.long)
    points, slope = chain.linearise(Poses(best.state[one], best.root[one], best.place[one]))
    shape = seen.at(one).compare(points, slope)[0].shape[1:]
    rows = torch.arange(len(best.state)).repeat(times)
    return Shaken(seen.at(rows), torch.randn(len(rows), *shape, generator=generator))


def uncertainty_of_mean(states: Tensor) -> Tensor:
    """Standard deviation `(T, 172)` of the mean of draws `(K, T, 172)`; hardly any for a single one."""
    return (states.std(0, unbiased=False) / len(states) ** 0.5).clamp(min=LEAST_SPREAD)


def _checked(
    chain: Chain,
    poses: Poses,
    target: Tensor,
    *,
    seen: Tensor,
    sigma: Tensor | float,
    settings: Settings,
) -> tuple[Tensor | float, bool]:
    """The noise to go on with, and whether it is what was told."""
    told = torch.as_tensor(sigma).float().expand(seen.shape)
    counts = seen & told.isfinite()
    if not bool(counts.any()):
        return sigma, True
    places = Places(target, torch.where(counts, told, torch.inf))
    # A body follows noise where it has nearly as many joints as there are points.
    left = 1 - leverage(chain, [places], poses, settings=settings) / (3 * int(counts.sum()))
    if left < LEAST_LEFT:
        return sigma, True
    points, _ = chain.linearise(poses)
    away = (points[:, : target.shape[1]] - target).abs() / told[..., None]
    share = float(away[counts].median()) / NORMAL_MEDIAN
    # Where points are to be met this closely, that they are met closer is no mistake.
    share = max(share, min(1.0, SIGMA_RANGE[0] / float(told[counts].median())))
    if TOLD_RANGE[0] * left**0.5 <= share <= TOLD_RANGE[1]:
        return sigma, True
    return (told * share).clamp(min=LEAST_SIGMA), False


def _measured(chain: Chain, poses: Poses, target: Tensor, seen: Tensor) -> float:
    """Noise of the points about a fit, from their median residual, metres."""
    points, _ = chain.linearise(poses)
    away = (points[:, : target.shape[1]] - target).abs()[seen]
    found = float(away.median()) / NORMAL_MEDIAN
    return min(max(found, SIGMA_RANGE[0]), SIGMA_RANGE[1])
