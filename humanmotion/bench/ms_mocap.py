"""ms-mocap: recorded motion filmed by virtual cameras in several shots, seen by a made-up detector.

A sequence is fixed by its clip, its number of shots and a seed: the same everywhere, and listed by a
hash. Shots of one clip are nested: the cuts into few shots are among the cuts into many.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.camera import default_focal
from humanmotion.errors import InputError
from humanmotion.jobs.data import Clip, list_clips, load_clip
from humanmotion.jobs.lifter_data import SIZE
from humanmotion.jobs.motion_corpus import SHAPE_MOST, SHAPE_SIGMA
from humanmotion.jobs.prior_data import SETS
from humanmotion.keypoints import Keypoints
from humanmotion.metrics.contact import stance_sole_height
from humanmotion.motion import Motion
from humanmotion.recovery.detector_noise import DetectorNoise, watch
from humanmotion.recovery.focal import DIAGONAL_SIGMA, FocalEstimate
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.odometry import CameraMotion
from humanmotion.recovery.shots import Shot
from humanmotion.recovery.virtual_cameras import VirtualShot, film
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

SHOT_SECONDS = 1.5
"""Of the shortest shot."""
MOST_SHOTS = 6
"""Cuts into fewer shots are among those into so many, or as many as a clip holds."""
LONGEST_SECONDS = 20.0
"""Longer clips are taken up to here."""
DRIFT_RAD = 2e-4
"""Standard deviation of what odometry is off by in a frame, added up over the frames of a shot."""


@dataclass(frozen=True)
class Filmed:
    """A motion, the shots it was filmed in, and what the detector said."""

    name: str
    motion: Motion
    joints: Tensor
    """`(T, 55, 3)` in the world."""
    shots: tuple[VirtualShot, ...]
    keypoints: Keypoints
    seed: int

    @cached_property
    def cuts(self) -> tuple[int, ...]:
        """First frames of later shots."""
        return tuple(s.start for s in self.shots[1:])

    @property
    def spans(self) -> tuple[Shot, ...]:
        """The shots as recovery knows them."""
        return tuple(Shot(s.start, s.stop) for s in self.shots)

    def odometry(
        self, *, focal_known: bool = False, up_known: bool = False
    ) -> tuple[CameraMotion, ...]:
        """What watching the background would give: turns that drift, read with a guessed lens.

        The lens and where up is are true where they are known.
        """
        generator = torch.Generator().manual_seed(seed_of(self.name, "odometry", self.seed))
        found = (_odometry(s, focal_known, generator) for s in self.shots)
        if not up_known:
            return tuple(found)
        ups = [s.camera.R_w2c[0, :, 2] for s in self.shots]
        return tuple(replace(c, up=up) for c, up in zip(found, ups, strict=True))


def _odometry(shot: VirtualShot, focal_known: bool, generator: torch.Generator) -> CameraMotion:
    camera = shot.camera
    true = float(camera.K[0, 0, 0])
    guess = true if focal_known else default_focal(camera.width, camera.height)
    R_c2w = camera.R_w2c.mT
    turn = R_c2w[0].T @ R_c2w
    shift = (camera.centre - camera.centre[0]) @ R_c2w[0]
    if shot.kind == "static":
        turn = torch.eye(3).expand(len(turn), 3, 3).clone()
    else:
        drift = DRIFT_RAD * torch.randn(len(turn), 3, generator=generator).cumsum(0)
        # The same pictures through a longer lens are those of a smaller turn.
        turn = rotvec_to_matrix(matrix_to_rotvec(turn) * (true / guess) + drift)
    return CameraMotion(
        kind=shot.kind,
        R_c2c0=turn,
        t_c2c0=shift if shot.kind == "moving" else torch.zeros_like(shift),
        flow_px=torch.zeros(len(turn)),
        confidence=1.0,
        focal=FocalEstimate(guess, 0.0, "given") if focal_known
        else FocalEstimate(guess, DIAGONAL_SIGMA, "diagonal"),
        warnings=(),
    )  # fmt: skip


@dataclass(frozen=True)
class Listed:
    """A clip that is long enough for `shots` shots."""

    clip: Clip
    shots: int


def listing(
    data: Path | None, *, split: str, shots: Sequence[int], sets: Sequence[str] = SETS
) -> tuple[Listed, ...]:
    """Clips of `split` without bad frames that hold so many shots; raises InputError without any."""
    found = []
    for folder in [] if data is None else [data / name for name in sets]:
        if not (folder / "index.jsonl").exists():
            continue
        for clip in list_clips(folder, split=split):
            if clip.excluded or clip.bad:
                continue
            found.append(clip)
    out = tuple(Listed(c, n) for n in shots for c in found if _frames(c) >= n * SHOT_SECONDS * 30)
    if not out:
        raise InputError(f"{data} holds no {split} clips long enough among {', '.join(sets)}")
    return out


def fingerprint(chosen: Sequence[Listed], *, seeds: Sequence[int], noise: DetectorNoise) -> str:
    """Eight hex digits that change with what decides the sequences."""
    lines = [f"{c.clip.folder.name}/{c.clip.id} {_frames(c.clip)} {c.shots}" for c in chosen]
    text = "\n".join([*lines, f"{tuple(seeds)} {MOST_SHOTS} {noise}"])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def sequences(
    chosen: Sequence[Listed],
    body: BodyModel,
    *,
    noise: DetectorNoise,
    seed: int,
) -> Iterator[Filmed]:
    """Every listed clip, filmed and seen."""
    for listed in chosen:
        motion = load_clip(listed.clip, body)
        motion = motion[: int(LONGEST_SECONDS * motion.fps)]
        yield filmed(motion, body, shots=listed.shots, noise=noise, seed=seed)


def filmed(
    motion: Motion,
    body: BodyModel,
    *,
    shots: int,
    noise: DetectorNoise,
    seed: int,
) -> Filmed:
    """One motion on somebody's body in `shots` shots, whose cuts are among those into more."""
    name = motion.meta["source"]
    generator = torch.Generator().manual_seed(seed_of(name, "film", seed))
    motion = on_a_body(motion, body, generator=generator)
    cuts = _nested_cuts(len(motion), shots, fps=motion.fps, generator=generator)
    joints = body.joints_of(motion)
    taken = film(joints[:, 0], cuts=cuts, fps=motion.fps, size=SIZE, generator=generator)
    marks = body.landmarks(SET, motion.rotations, betas=motion.betas, transl=motion.transl)
    seen = watch(marks, joints, taken, fps=motion.fps, noise=noise, generator=generator)
    return Filmed(name, motion, joints, taken, seen, seed)


def on_a_body(motion: Motion, body: BodyModel, *, generator: torch.Generator) -> Motion:
    """The motion of somebody of another shape, whose steps are as much longer as the legs."""
    betas = SHAPE_SIGMA * torch.randn(len(motion.betas), generator=generator)
    betas = betas.clamp(-SHAPE_MOST, SHAPE_MOST)
    longer = body.leg_length(betas) / body.leg_length(motion.betas)
    pelvis = (motion.transl + body.rest_joints(motion.betas)[0]) * longer
    moved = replace(motion, betas=betas, transl=pelvis - body.rest_joints(betas)[0])
    sole = body.sole_offset(betas)
    lift = stance_sole_height(body.joints_of(moved), sole=sole, fps=motion.fps)
    return replace(moved, transl=moved.transl - torch.tensor((0.0, 0.0, float(lift))))


def _nested_cuts(frames: int, shots: int, *, fps: float, generator: torch.Generator) -> list[int]:
    """The first `shots - 1` of a series of cuts, in order of time."""
    least = int(SHOT_SECONDS * fps)
    most = max(min(MOST_SHOTS, frames // least), shots)
    # Uniform over all ways to keep shots long enough: spread what is left over at random.
    spare = frames - most * least
    points = torch.sort((torch.rand(most - 1, generator=generator) * (spare + 1)).long()).values
    cuts = [(i + 1) * least + int(p) for i, p in enumerate(points)]
    order = torch.randperm(len(cuts), generator=generator).tolist()
    return sorted(cuts[i] for i in order[: shots - 1])


def _frames(clip: Clip) -> int:
    from humanmotion.files import read_npz

    name = f"{clip.id}/pelvis"
    stored = read_npz(clip.folder / clip.shard, keys=[name])
    if name not in stored:
        raise InputError(f"{clip.folder / clip.shard} holds no {name}")
    return len(stored[name])


def seed_of(*parts: object) -> int:
    """A seed that these parts, and nothing else, decide."""
    return int(hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:12], 16)
