"""`humanmotion fit keypoints`: keypoints seen in pictures, or in space, in; a motion out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import CarriedPoints
from humanmotion.body.named_points import NamedPoint, named_points, set_points
from humanmotion.camera import Camera, default_focal, intrinsics
from humanmotion.errors import InputError, UsageError
from humanmotion.io.axes import turn_up
from humanmotion.io.convert import KEYPOINT_FORMATS, read_any
from humanmotion.io.convert_pictures import read_people
from humanmotion.io.sniff import sniff
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.fit_input import at_rate, free_joints, is_finger
from humanmotion.jobs.fit_result import Timed, fit_targets, write_fit
from humanmotion.jobs.known_camera import check_no_focal, of_every_frame, read_camera_path
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.keypoints import Keypoints
from humanmotion.prior.fitting import HYPOTHESES
from humanmotion.prior.keypoint_fitting import LEAST_POINTS, fit_pixels
from humanmotion.prior.model import PosePrior
from humanmotion.prior.problem import Chain, Pixels, Poses
from humanmotion.prior.rates import settled

LEAST_CONFIDENCE = 0.1
"""Below, a keypoint was not seen."""
ERROR_SHARE = 0.01
"""What detectors err by, in heights of the person in the picture."""
LEAST_ERROR = 1.0
"""Pixels."""
Progress = Callable[[str, float], None]
Note = Callable[[str], None]


@dataclass(frozen=True)
class Seen:
    """Points of one person in pictures."""

    points: tuple[NamedPoint, ...]
    """`L` of them."""
    times: Tensor
    """Seconds `(T)`."""
    xy: Tensor
    """Pixels `(T, L, 2)`; NaN where not seen."""
    sigma: Tensor
    """Pixels `(T, L)`."""
    camera: Camera

    @property
    def held(self) -> Tensor:
        """Frames that show enough to place a body, `(T)` bool."""
        return self.xy.isfinite().all(-1).sum(-1) >= LEAST_POINTS

    def at(self, times: Tensor, values: Tensor) -> Seen:
        """With points and errors `values` `(M, L, 3)` of other times, under the nearest cameras."""
        row = (times[:, None] - self.times).abs().argmin(-1)
        return Seen(self.points, times, values[..., :2], values[..., 2], self.camera[row])

    def pixels(self) -> Pixels:
        """As an observation."""
        there = self.xy.isfinite().all(-1)
        return Pixels(
            torch.where(there[..., None], self.xy, 0.0),
            torch.where(there, self.sigma, torch.inf),
            self.camera.K,
        )


def fit_keypoints(
    source: str | Path,
    *,
    output: str | Path,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    person: int = 0,
    focal: float | None = None,
    camera: str | Path | None = None,
    shape: str | Path | None = None,
    sigma_px: float | None = None,
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
    """The likeliest motion behind 2D keypoints; returns the paths of what was written.

    `source` holds keypoints in any format that is read; `size` and `fps` say of OpenPose files what
    they lack. `camera` is a file with intrinsics and path; without it the camera is level and still,
    with the `focal` given in pixels or the picture's diagonal. `shape` is a motion file whose body
    shape is taken; pictures do not show how large somebody is. `sigma_px` is the error of a sure
    keypoint. `stills`: the frames are pictures of their own. Raises UsageError and InputError.
    """
    targets = fit_targets(output, hypotheses=hypotheses, each=each, overwrite=overwrite)
    body, prior, notes = BodyModel.load(), load_prior(weights), []
    keypoints, timed = _person(Path(source), size=size, fps=fps, person=person)
    stills = stills or len(keypoints) < 2
    if not timed and fps is None and not stills:
        notes.append("no times in the source; 30 frames a second assumed (--fps)")
    view, level = _camera(keypoints, focal=focal, camera=camera, notes=notes)
    seen = _seen(keypoints, body, view, sigma_px=sigma_px, hands=hands)
    tell = note or (lambda _: None)
    for line in notes:
        tell(line)
    told = None if progress is None else lambda share: progress("fit", share)
    betas = torch.zeros(10) if shape is None else read_any(shape, body=body).betas
    task = _Task(prior, body, betas, stills, seed, told)
    fit = task.fit(seen, hypotheses=hypotheses)
    found = _best(task, fit, seen)
    if level:
        view = _on_floor(view, fit, found)
    std = fit.std()
    moved = [_in_world(p, view) for p in (found, *(fit.draw(k) for k in range(len(targets.each))))]
    motion, *others = (fit.motion(poses, std, notes) for poses in moved)
    return write_fit(targets, motion, std, each=others, camera=view)


def _person(
    source: Path, *, size: tuple[int, int] | None, fps: float | None, person: int
) -> tuple[Keypoints, bool]:
    kind = sniff(source)
    if kind not in KEYPOINT_FORMATS:
        raise UsageError(
            f"{source} is a {kind} file; keypoints are read from keypoints.npz, OpenPose and "
            "COCO-WholeBody JSON, and points in space from .csv and .trc"
        )
    if kind != "openpose" and size is not None:
        raise UsageError(f"{source} says its picture's size; leave --size out")
    if fps is not None and (kind == "keypoints" or not 0 < fps < 1e6):
        raise UsageError(
            f"fps {fps} given for {source}; give one above 0 and below 1e6, and only for OpenPose and "
            "COCO files that state none"
        )
    people, timed = read_people(source, kind, size, fps=fps)
    if person >= len(people):
        raise UsageError(f"person {person} asked for; {source} holds {len(people)}, counted from 0")
    found = people[person]
    if not bool(((found.confidence > LEAST_CONFIDENCE).sum(-1) >= LEAST_POINTS).any()):
        raise InputError(
            f"{source} shows no three keypoints of person {person} in any frame (confidence above "
            f"{LEAST_CONFIDENCE:g}); nothing can be fitted"
        )
    return found, timed


def _camera(
    keypoints: Keypoints, *, focal: float | None, camera: str | Path | None, notes: list[str]
) -> tuple[Camera, bool]:
    """The camera of every frame, and whether nothing is known of where it stands."""
    width, height, frames = keypoints.width, keypoints.height, len(keypoints)
    if camera is not None:
        check_no_focal(camera, focal)
        known = read_camera_path(camera, width=width, height=height)
        return of_every_frame(known, frames=frames, path=camera), False
    if focal is None:
        focal = default_focal(width, height)
        notes.append(
            f"focal length unknown: taken as {focal:.0f} pixels, the picture's diagonal (--focal)"
        )
    notes.append("the camera is taken as level and still; give its path as --camera if it is not")
    K = intrinsics(focal, width=width, height=height).expand(frames, 3, 3)
    return level_camera(K, width=width, height=height), True


def level_camera(K: Tensor, *, width: int, height: int) -> Camera:
    """A camera `K` `(T, 3, 3)` at the origin that looks along the world's y, its picture upright."""
    # Camera axes with y turned up are those of a y-up world seen from its +z.
    axes = turn_up(torch.diag(torch.tensor((1.0, -1.0, -1.0))), "z")
    frames = len(K)
    return Camera(K, axes.expand(frames, 3, 3), torch.zeros(frames, 3), width, height)


def _seen(
    keypoints: Keypoints, body: BodyModel, camera: Camera, *, sigma_px: float | None, hands: bool
) -> Seen:
    known = list(set_points(body, keypoints.joint_set).values())
    kept = [p for p in known if hands or not is_finger(p)]
    columns = [JOINT_SETS[keypoints.joint_set].index(p.name) for p in kept]
    xy, confidence = keypoints.xy[:, columns].float(), keypoints.confidence[:, columns].float()
    there = confidence > LEAST_CONFIDENCE
    xy = torch.where(there[..., None], xy, torch.nan)
    size = keypoints.boxes(LEAST_CONFIDENCE)
    size = (size[:, 2:] - size[:, :2]).norm(dim=-1, keepdim=True)
    sure = (
        (ERROR_SHARE * size).clamp(min=LEAST_ERROR) if sigma_px is None else torch.tensor(sigma_px)
    )
    sigma = sure / confidence.clamp(min=LEAST_CONFIDENCE).sqrt()
    return Seen(tuple(kept), keypoints.times, xy, sigma, camera)


@dataclass(frozen=True)
class _Task:
    """How keypoints are fitted."""

    prior: PosePrior
    body: BodyModel
    betas: Tensor
    stills: bool
    seed: int
    told: Callable[[float], None] | None

    def points(self, seen: Seen) -> CarriedPoints:
        """The points on the body."""
        free = free_joints(seen.points)
        return named_points(self.body, seen.points, joints=free, betas=self.betas)

    def fit(self, seen: Seen, *, hypotheses: int) -> Timed:
        """The fit at the prior's rate, or of each picture."""
        then = seen
        if not self.stills:
            both = torch.cat((seen.xy, seen.sigma[..., None]), -1)
            then = seen.at(*at_rate(seen.times, both, source="the keypoints"))
        fit = fit_pixels(
            self.prior, self.points(seen), then.xy, sigma=then.sigma, K=then.camera.K,
            kind="pose" if self.stills else "motion", hypotheses=hypotheses, seed=self.seed,
            progress=self.told,
        )  # fmt: skip
        free = free_joints(seen.points)
        return Timed(fit, self.body, self.betas, free, then.times, then.held, seen.times, seen.held)


def _best(task: _Task, fit: Timed, seen: Seen) -> Poses:
    """The best poses in camera axes; between those of the fit, brought to agree with their own."""
    best = fit.best()
    if task.stills or fit.on_time:
        return best
    chain = Chain(task.points(seen), task.prior.space)
    return settled(chain, [seen.pixels()], start=best, spread=fit.spread())


def _on_floor(camera: Camera, fit: Timed, found: Poses) -> Camera:
    """The camera at the height that puts the median of the lowest soles on the floor."""
    poses, body = _in_world(found, camera), fit.body
    turned = fit.fit.prior.space.to_rotations(poses.state, poses.root)
    joints = body.joints(turned, betas=fit.betas)
    joints = joints - joints[:, :1] + poses.place[:, None]
    floor = (joints[:, [10, 11], 2] - body.sole_offset(fit.betas)).amin(-1).median()
    up = torch.stack((floor.new_zeros(()), floor.new_zeros(()), floor))
    # The world moves down by what the floor lies above its origin.
    return replace(camera, t_w2c=camera.t_w2c + camera.R_w2c @ up)


def _in_world(poses: Poses, camera: Camera) -> Poses:
    turn = camera.R_w2c.mT
    place = (turn @ (poses.place - camera.t_w2c)[..., None])[..., 0]
    return Poses(poses.state, turn @ poses.root, place)
