"""DPoser-X at work: its one-step regulariser, its time schedules and its two fitting loops.

Lu et al. 2025, "DPoser-X: Diffusion Model as Robust 3D Whole-body Human Pose Prior" (variational
diffusion sampling, truncated timestep scheduling), with the constants of the authors' release. Each
task has weights and windows of its own there; they are `TASKS`. Poses are raw rotation vectors outside
and normalised states inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from humanmotion.diffusion.paths import SUB_VP
from humanmotion.errors import UsageError
from humanmotion.prior.published import NoiseNetwork, PublishedPrior, expected_clean, normal_like

Weight = Literal["half", "sqrt(1+snr)", "sqrt(1+snr^2)"]
"""`snr` is the ratio of amplitudes `alpha / sigma`; the roots are halved too."""
Schedule = Literal["truncated", "random", "fixed", "uniform"]
LEAST_TIME = 1e-3
"""Of the random and the uniform schedule: at time 0 the weights have no bound."""
START_SPREAD = 0.01
"""Radians by which the poses of a clip differ at first."""
RANDOM_SHARE = 0.5
"""Weight of the prior in motion denoising when its times are random."""
Points = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From raw poses `(N, D)` to joints `(N, J, 3)` and surface points `(N, V, 3)`, metres."""


@dataclass(frozen=True)
class Task:
    """What the regulariser looks like in one task."""

    window: tuple[float, float]
    """First and last time of the truncated schedule."""
    fixed: float
    """Time of the fixed schedule."""
    weight: Weight
    over: Literal["sum", "mean"]
    """How the numbers of a pose are brought together; over poses it is always the mean."""


TASKS = {
    "mesh": Task((0.12, 0.08), 0.10, "sqrt(1+snr^2)", "sum"),
    "completion": Task((0.15, 0.05), 0.10, "sqrt(1+snr)", "mean"),
    "denoising 20 mm": Task((0.20, 0.05), 0.10, "half", "sum"),
    # The paper has 0.20 here.
    "denoising 40 mm": Task((0.25, 0.05), 0.10, "half", "sum"),
    "denoising 100 mm": Task((0.25, 0.10), 0.10, "half", "sum"),
    "hidden legs": Task((0.20, 0.01), 0.05, "sqrt(1+snr)", "sum"),
    "hidden arm or side": Task((0.30, 0.01), 0.05, "sqrt(1+snr)", "sum"),
    "hand, noisy": Task((0.15, 0.05), 0.10, "half", "mean"),
    "hand, sparse": Task((0.20, 0.05), 0.10, "half", "mean"),
    "face": Task((0.20, 0.05), 0.10, "half", "mean"),
}


def snr_weight(weight: Weight, rho: Tensor) -> Tensor:
    """Factor of the regulariser `(...)` at noise-to-signal ratios `rho` `(...)`."""
    if weight == "half":
        return torch.full_like(rho, 0.5)
    return 0.5 * (1 + (1 / rho if weight == "sqrt(1+snr)" else 1 / rho**2)).sqrt()


def regulariser(
    network: NoiseNetwork, state: Tensor, noise: Tensor, *, t: float, task: Task
) -> Tensor:
    """How far each pose `(..., D)` is from its one-step denoising, `(...)`; differentiable.

    DPoser-X, its `L_DPoser`: `w |x - x0|^2`, where `x0` is what the network makes of `x` with `noise`
    of its shape added, held constant. The published loss is the mean over poses, with a fresh draw at
    every call. Its expected gradient is `-2 w rho^2` times the score of the data smoothed by `rho`.
    """
    at = torch.tensor(t, dtype=state.dtype, device=state.device)
    rho = SUB_VP.rho(at)
    with torch.no_grad():
        clean = expected_clean(network, state + rho * noise, at)
    square = snr_weight(task.weight, rho) * (state - clean) ** 2
    return square.sum(-1) if task.over == "sum" else square.mean(-1)


def schedule_times(
    schedule: Schedule, count: int, *, task: Task, generator: torch.Generator
) -> list[float]:
    """The time of each of `count` steps.

    `truncated` falls evenly from the first to the last time of the window, both included, as in the
    paper: `first - (first - last) k / (count - 1)`. The release has `last + (count - 1 - k) / count
    (first - last)`, which begins one step lower and ends at the same place. `uniform` is the same
    over all times, `random` draws from all, `fixed` stays.
    """
    if schedule == "fixed":
        return [task.fixed] * count
    if schedule == "random":
        share = torch.rand(count, generator=generator, device=generator.device).tolist()
        return [LEAST_TIME + (1 - LEAST_TIME) * x for x in share]
    first, last = task.window if schedule == "truncated" else (1.0, LEAST_TIME)
    return torch.linspace(first, last, count, dtype=torch.float64).tolist()


@dataclass(frozen=True)
class Fit:
    """An optimisation by Adam in stages; the factors have one entry per stage."""

    task: Task
    data: tuple[float, ...]
    prior: tuple[float, ...]
    motion: tuple[float, ...]
    """Factor of the movement between neighbouring frames."""
    steps: int
    """In each stage."""
    rate: float
    """Learning rate: normalised numbers in completion, radians in denoising."""
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Schedule = "truncated"
    smoothing: tuple[int, float] | None = None
    """Frames and standard deviation in frames of a Gaussian filter over the result."""


COMPLETION = Fit(
    TASKS["completion"],
    data=(100.0, 50.0),
    prior=(0.1, 0.2),
    motion=(0.0, 0.0),
    steps=100,
    rate=0.1,
    betas=(0.9, 0.99),
)


def _denoising(name: str, steps: int) -> Fit:
    data, prior, motion = (100.0, 50.0, 20.0), (0.1, 0.2, 0.3), (10.0, 20.0, 30.0)
    return Fit(TASKS[name], data=data, prior=prior, motion=motion, steps=steps, rate=0.03)


def _hidden(name: str, share: float) -> Fit:
    # In the release movement counts in the last stage only.
    return Fit(
        TASKS[name],
        data=(100.0,) * 3,
        prior=(share, 2 * share, 3 * share),
        motion=(0.0, 0.0, 20.0),
        steps=80,
        rate=0.03,
        smoothing=(5, 3.0),
    )


DENOISING = {mm: _denoising(f"denoising {mm} mm", n) for mm, n in ((20, 40), (40, 60), (100, 80))}
"""By the standard deviation of the joints' noise per coordinate, in mm."""
HIDDEN = {
    "legs": _hidden("hidden legs", 0.4),
    "left_arm": _hidden("hidden arm or side", 0.2),
    "right_side": _hidden("hidden arm or side", 0.3),
}
"""Clips of clean joints some of which are never seen."""


def complete_pose(
    prior: PublishedPrior,
    pose: Tensor,
    known: Tensor,
    *,
    generator: torch.Generator,
    hypotheses: int = 10,
    fit: Fit = COMPLETION,
) -> Tensor:
    """Raw poses `(hypotheses, ..., D)` that agree with `pose` `(..., D)` where it is `known`.

    `known` is bool, `(D)` or `(..., D)`; what `pose` holds elsewhere does not matter. As
    DPoser-X completes bodies and, with one hand and its wrist hidden, whole bodies. Hypotheses differ
    by their starts and noise only; they and the poses are solved at once, each as if it were alone.
    """
    given = torch.where(known, pose, torch.zeros_like(pose))
    state = prior.normaliser.to_state(given)
    start = normal_like(state.expand(hypotheses, *state.shape), generator)

    def loss(x: Tensor, stage: int, t: float) -> Tensor:
        apart = torch.where(known, x - state, torch.zeros_like(x))
        noise = normal_like(x, generator)
        pull = regulariser(prior.network, x, noise, t=t, task=fit.task)
        return (fit.data[stage] * (apart**2).mean(-1) + fit.prior[stage] * pull).sum()

    found = _descend(torch.where(known, state, start), loss, fit=fit, generator=generator)
    return torch.where(known, given, prior.normaliser.to_pose(found))


def denoise_motion(
    prior: PublishedPrior,
    joints: Tensor,
    points: Points,
    *,
    start: Tensor,
    fit: Fit,
    generator: torch.Generator,
    seen: Tensor | None = None,
) -> Tensor:
    """Raw poses `(..., T, D)` of clips whose noisy `joints` `(..., T, J, 3)` are in metres.

    `points` gives the joints and some of the surface of a pose, the root at rest. `start` `(D)` is the
    first guess of all frames; published is SMPL's mean pose, or zero with hidden joints. `seen` `(J)`
    or `(..., T, J)` bool, all by default. As DPoser-X denoises motion. Clips are solved at once,
    each as if it were alone. Raises UsageError for clips of a single frame.
    """
    frames = joints.shape[:-2]
    if frames[-1] < 2:
        raise UsageError("a clip of one frame given; at least two are needed")
    there = torch.ones_like(joints[..., 0], dtype=torch.bool) if seen is None else seen
    share = RANDOM_SHARE if fit.schedule == "random" else 1.0

    def loss(pose: Tensor, stage: int, t: float) -> Tensor:
        found, surface = (x.unflatten(0, frames) for x in points(pose.flatten(0, -2)))
        apart = torch.where(there[..., None], found - joints, torch.zeros_like(found))
        noise, state = normal_like(pose, generator), prior.normaliser.to_state(pose)
        pull = regulariser(prior.network, state, noise, t=t, task=fit.task).mean(-1)
        data, motion = _mean_length(apart), _mean_length(surface.diff(dim=-3))
        return (
            fit.data[stage] * data + fit.motion[stage] * motion + share * fit.prior[stage] * pull
        ).sum()

    guess = start.expand(*frames, -1)
    guess = guess + START_SPREAD * normal_like(guess, generator)
    found = _descend(guess, loss, fit=fit, generator=generator)
    return found if fit.smoothing is None else smoothed(found, *fit.smoothing)


def _mean_length(vectors: Tensor) -> Tensor:
    """`(..., T, K, 3)` to `(...)`; its gradient is zero at zero, where a root of squares has none."""
    return torch.linalg.vector_norm(vectors, dim=-1).mean((-2, -1))


def _descend(
    start: Tensor,
    loss: Callable[[Tensor, int, float], Tensor],
    *,
    fit: Fit,
    generator: torch.Generator,
) -> Tensor:
    """Where Adam ends from `start`, given the loss of an estimate in a stage at a time."""
    x = start.detach().clone().requires_grad_(True)
    optimizer = torch.optim.Adam([x], lr=fit.rate, betas=fit.betas)
    count = fit.steps * len(fit.data)
    times = schedule_times(fit.schedule, count, task=fit.task, generator=generator)
    with torch.enable_grad():
        for step, t in enumerate(times):
            optimizer.zero_grad()
            loss(x, step // fit.steps, t).backward()
            optimizer.step()
    return x.detach()


def smoothed(poses: Tensor, window: int, deviation: float) -> Tensor:
    """Poses `(..., T, D)` filtered over time by a Gaussian of `window` (odd) frames.

    Frames too near an end for a whole window stay as they are.
    """
    reach, frames = window // 2, poses.shape[-2]
    if frames < window:
        return poses
    at = torch.arange(window, dtype=poses.dtype, device=poses.device) - reach
    kernel = torch.softmax(-0.5 * (at / deviation) ** 2, 0)
    middle = poses.unfold(-2, window, 1) @ kernel
    return torch.cat((poses[..., :reach, :], middle, poses[..., frames - reach :, :]), -2)
