"""`humanmotion fit denoise` and `fit ik`: joints, markers and orientations in, a motion out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.named_points import named_points
from humanmotion.errors import UsageError
from humanmotion.io.orientations_csv import OrientationTrack, read_orientations_csv
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.fit_input import JointInput, at_rate, read_points, standing
from humanmotion.jobs.fit_result import Timed, fit_targets, write_fit
from humanmotion.jobs.joint_checks import Units, Up
from humanmotion.prior.fitting import HYPOTHESES, fit_places, seen_places
from humanmotion.prior.model import PosePrior
from humanmotion.prior.orientations import Turns
from humanmotion.prior.problem import Chain, Poses
from humanmotion.prior.rates import settled, values_at
from humanmotion.rotations import resample_rotations

IK_SIGMA_MM = 1.0
TURN_SIGMA_DEG = 2.0
TIME_GAP = 0.002
"""Seconds by which two files of one recording may differ."""
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
    stills = stills or len(given.times) < 2
    timed = _solved(prior, body, given, turned, sigma_mm=sigma_mm, stills=stills,
                    hypotheses=hypotheses, seed=seed, source=source, progress=progress)  # fmt: skip
    notes = list(given.notes)
    if sigma_mm is None:
        notes.append(f"noise of the points: {1000 * timed.fit.sigma:.0f} mm")
        tell(notes[-1])
    std = timed.std()
    motion = timed.motion(_best(prior, timed, given, turned), std, notes)
    draws = [timed.motion(timed.draw(k), std, notes) for k in range(len(targets.each))]
    return write_fit(targets, motion, std, each=draws)


def _solved(
    prior: PosePrior,
    body: BodyModel,
    given: JointInput,
    turned: Turns | None,
    *,
    sigma_mm: float | None,
    stills: bool,
    hypotheses: int,
    seed: int,
    source: object,
    progress: Progress | None,
) -> Timed:
    points = named_points(body, given.points, joints=given.free, betas=given.betas)
    times, xyz = (given.times, given.xyz) if stills else at_rate(given.times, given.xyz,
                                                                 source=source)  # fmt: skip
    fit = fit_places(
        prior, points, xyz, sigma=None if sigma_mm is None else sigma_mm / 1000,
        turns=turned if turned is None or stills else _turns_at(turned, given.times, times),
        kind="pose" if stills else "motion", hypotheses=hypotheses, seed=seed,
        progress=None if progress is None else lambda share: progress("fit", share),
    )  # fmt: skip
    return Timed(fit, body, given.betas, given.free, times, given.times, given.seen)


def _best(prior: PosePrior, timed: Timed, given: JointInput, turned: Turns | None) -> Poses:
    """The best poses; where frames lie between those of the fit, brought to agree with their own."""
    best = timed.best()
    if timed.on_time:
        return best
    points = named_points(timed.body, given.points, joints=given.free, betas=given.betas)
    points = points if turned is None else turned.carried_with(points)
    seen = given.xyz.isfinite().all(-1)
    filled = torch.where(seen[..., None], given.xyz, 0.0)
    return settled(
        Chain(points, prior.space),
        seen_places(filled, seen, timed.fit.sigma, turns=turned),
        start=best, draws=timed.states(),
    )  # fmt: skip


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
