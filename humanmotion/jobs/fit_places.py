"""`humanmotion fit denoise` and `fit ik`: joints, markers and orientations in, a motion out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import CarriedPoints
from humanmotion.body.named_points import named_points
from humanmotion.errors import UsageError
from humanmotion.io.orientations_csv import OrientationTrack, read_orientations_csv
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.fit_input import JointInput, at_rate, read_points, standing
from humanmotion.jobs.fit_result import Timed, fit_targets, write_fit
from humanmotion.jobs.joint_checks import Units, Up, bones
from humanmotion.jobs.joint_names import LEAST_POINTS
from humanmotion.prior.fitting import HYPOTHESES, fit_places, seen_places
from humanmotion.prior.model import PosePrior
from humanmotion.prior.orientations import Turns
from humanmotion.prior.problem import Chain, Observation, Poses
from humanmotion.prior.rates import settled, values_at
from humanmotion.prior.shape import fitted_shape
from humanmotion.rotations import resample_rotations

TURN_SIGMA_DEG = 2.0
TIME_GAP = 0.002
"""Seconds by which two files of one recording may differ."""
FEW_BONES = 4
"""Fewer do not show how large a body is."""
Progress = Callable[[str, float], None]
Note = Callable[[str], None]


def fit_joints(
    source: str | Path | None,
    *,
    output: str | Path,
    sigma_mm: float | None,
    orientations: str | Path | None = None,
    turn_sigma_deg: float = TURN_SIGMA_DEG,
    joint_set: str | None = None,
    units: Units | None = None,
    up: Up | None = None,
    hands: bool = False,
    stills: bool = False,
    hypotheses: int = HYPOTHESES,
    each: bool = False,
    weights: str | Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
    note: Note | None = None,
) -> list[Path]:
    """The likeliest motion behind the points in a file; returns the paths of what was written.

    `source` is read as by `read_points`; with `orientations` it may be None, and the pelvis then
    stays where it is. Without `sigma_mm` the noise of the points is measured.
    `orientations` is a CSV of joint orientations of the same frames. `stills`: the frames are poses
    that have nothing to do with each other. With `each`, every hypothesis is written too. Raises
    UsageError for what cannot be meant, InputError for files that cannot be read.
    """
    targets = fit_targets(output, hypotheses=hypotheses, each=each, overwrite=overwrite)
    body, prior = BodyModel.load(), load_prior(weights)
    track = None if orientations is None else read_orientations_csv(orientations)
    if source is not None:
        given = read_points(source, body, joint_set=joint_set, units=units, up=up, hands=hands)
    elif track is not None:
        given = standing(track.times, body)
    else:
        raise UsageError("nothing given to fit; give joints, orientations or both")
    turned = None if track is None else _turned(track, given, turn_sigma_deg)
    tell = note or (lambda _: None)
    for line in given.notes:
        tell(line)
    task = _Task(prior, body, turned, sigma_mm, stills or len(given.times) < 2, seed, source)
    given = task.shaped(given)
    told = None if progress is None else lambda share: progress("fit", share)
    timed = task.fit(given, hypotheses=hypotheses, told=told)
    notes = list(given.notes)
    if sigma_mm is None:
        notes.append(f"noise of the points: {1000 * timed.fit.sigma:.0f} mm")
        tell(notes[-1])
    elif abs(timed.fit.sigma - sigma_mm / 1000) > 1e-6:
        notes.append(
            f"noise of the points: {sigma_mm:g} mm told, {1000 * timed.fit.sigma:.1f} mm found and used"
        )
        tell(notes[-1])
    std = timed.std()
    motion = timed.motion(_best(task, timed, given), std, notes)
    draws = [timed.motion(timed.draw(k), std, notes) for k in range(len(targets.each))]
    return write_fit(targets, motion, std, each=draws)


@dataclass(frozen=True)
class _Task:
    """What is fitted to, and how."""

    prior: PosePrior
    body: BodyModel
    turned: Turns | None
    sigma_mm: float | None
    stills: bool
    seed: int
    source: object

    def fit(
        self, given: JointInput, *, hypotheses: int, told: Callable[[float], None] | None
    ) -> Timed:
        """The fit of what is given, at the prior's rate unless the frames are single poses."""
        times, xyz = given.times, given.xyz
        if not self.stills:
            times, xyz = at_rate(times, xyz, source=self.source)
        turned = self.turned
        if turned is not None and not self.stills:
            turned = _turns_at(turned, given.times, times)
        fit = fit_places(
            self.prior, self.points(given.betas, given), xyz, turns=turned,
            sigma=None if self.sigma_mm is None else self.sigma_mm / 1000,
            kind="pose" if self.stills else "motion", hypotheses=hypotheses, seed=self.seed,
            progress=told,
        )  # fmt: skip
        held = xyz.isfinite().all(-1).sum(-1) >= (LEAST_POINTS if turned is None else 1)
        return Timed(fit, self.body, given.betas, given.free, times, held, given.times, given.seen)

    def points(self, betas: Tensor, given: JointInput) -> CarriedPoints:
        """The points of a shape."""
        return named_points(self.body, given.points, joints=given.free, betas=betas)

    def chain(self, given: JointInput) -> Chain:
        """The points and what orientations need."""
        points = self.points(given.betas, given)
        return Chain(
            points if self.turned is None else self.turned.carried_with(points), self.prior.space
        )

    def observed(self, given: JointInput, sigma: float) -> list[Observation]:
        """What was seen of the points of `chain`, in the frames as they were given."""
        seen = given.xyz.isfinite().all(-1)
        filled = torch.where(seen[..., None], given.xyz, 0.0)
        return seen_places(filled, seen, sigma, turns=self.turned)

    def shaped(self, given: JointInput) -> JointInput:
        """With the shape that a first fit finds, where too few bones are seen whole to show it."""
        if given.own_shape or self.stills or len(bones(given.points)) >= FEW_BONES:
            return given
        first = self.fit(given, hypotheses=1, told=None)

        def build(betas: Tensor) -> CarriedPoints:
            points = self.points(betas, given)
            return points if self.turned is None else self.turned.carried_with(points)

        betas = fitted_shape(
            build, self.chain(given), self.observed(given, first.fit.sigma), poses=first.best()
        )
        return replace(given, betas=betas)


def _best(task: _Task, timed: Timed, given: JointInput) -> Poses:
    """The best poses; where frames lie between those of the fit, brought to agree with their own."""
    best = timed.best()
    if timed.on_time:
        return best
    observed = task.observed(given, timed.fit.sigma)
    return settled(task.chain(given), observed, start=best, spread=timed.spread())


def _turned(track: OrientationTrack, given: JointInput, sigma_deg: float) -> Turns:
    """The orientations of a file, for the frames of `given`."""
    if len(track.times) != len(given.times) or bool(
        ((track.times - given.times).abs() > TIME_GAP).any()
    ):
        raise UsageError(
            f"{len(track.times)} frames of orientations are at other times than the "
            f"{len(given.times)} of the points; give one row for each of these, empty where nothing "
            "was seen"
        )
    if not any(joint in given.free for joint in track.joints):
        raise UsageError(
            "no orientation is of a joint that is solved for; give some of the body's 22"
        )
    return Turns(track.joints, track.rotations, float(torch.deg2rad(torch.tensor(sigma_deg))))


def _turns_at(turned: Turns, old: Tensor, new: Tensor) -> Turns:
    seen = values_at(turned.seen.float(), old, new) > 1 - 1e-4
    filled = torch.where(turned.seen[..., None, None], turned.rotation, torch.eye(3))
    rotation = resample_rotations(filled, old, new)
    return replace(turned, rotation=torch.where(seen[..., None, None], rotation, torch.nan))
