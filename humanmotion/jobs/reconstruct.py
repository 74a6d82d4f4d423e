"""Video in, motion files out: the main job, stage by stage, resumable.

people -> shots -> camera -> pose -> world -> export. Each stage's result is a value kept in
`OUTPUT/stages`; a second run takes what still holds and goes on from there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

import humanmotion
from humanmotion.body import BodyModel
from humanmotion.camera import Camera, intrinsics
from humanmotion.errors import UsageError
from humanmotion.files import sha256, writable_folder
from humanmotion.io.video import VideoInfo, probe, read_frames
from humanmotion.jobs.exports import ReconstructionFiles, check_targets, export
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.fit_person import (
    Learnt,
    View,
    digest,
    fit_body,
    fit_hands_and_face,
    guess_body,
)
from humanmotion.jobs.known_camera import check_camera, kind_or_path, of_every_frame
from humanmotion.jobs.lifter_weights import load_lifter
from humanmotion.jobs.person_motion import person_motion
from humanmotion.jobs.reconstruct_warnings import body_warnings, camera_warnings
from humanmotion.jobs.refiner_weights import load_refiner
from humanmotion.jobs.stages import Progress, StageRunner, silent
from humanmotion.keypoints import Keypoints
from humanmotion.memory import give_back, return_large_blocks
from humanmotion.prior.model import PosePrior
from humanmotion.recovery.alignment import CutAlignment
from humanmotion.recovery.content import Content
from humanmotion.recovery.detection import Detector, Image, MediaPipeDetector
from humanmotion.recovery.focal import FocalEstimate
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.integrator import WorldPerson
from humanmotion.recovery.joint_world import JointResult, Look, optimise_world
from humanmotion.recovery.known_path import known_motions
from humanmotion.recovery.lifter import Lifter
from humanmotion.recovery.odometry import CameraMotion, KindChoice, estimate_motions
from humanmotion.recovery.people import People, viewing_warnings, watch_people
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.quality import QUALITIES, Quality, QualityName
from humanmotion.recovery.refiner import Refiner
from humanmotion.recovery.reprojection import reprojection_share
from humanmotion.recovery.resection import resect
from humanmotion.recovery.result import Reconstruction
from humanmotion.recovery.shots import Shot, find_shots
from humanmotion.recovery.world import WorldResult, to_world

DETECTION_SIDE = 1920
"""Longer side in pixels of the pictures people are looked for in."""
CAMERA_SIDE = 640
"""Longer side in pixels of the pictures that the camera's motion is read from."""
MIN_SEEN_SHARE = 0.2
"""Somebody seen in a smaller share of the video is a passer-by and is left out, unless chosen."""
MAX_PEOPLE = 4
_KEPT = (
    Keypoints, People, Content, Shot, CameraMotion, FocalEstimate, PoseTrack, WorldPerson,
    WorldResult, CutAlignment, JointResult,
)  # fmt: skip
"""What stage files may hold."""


def reconstruct(
    video: str | Path,
    *,
    output: str | Path,
    body: str | Path | None = None,
    person: int | None = None,
    camera: KindChoice | str | Path = "auto",
    focal: float | None = None,
    quality: QualityName = "standard",
    from_stage: str | None = None,
    detector: Callable[[], Detector] = MediaPipeDetector,
    prior: Callable[[], PosePrior] | None = load_prior,
    lifter: Callable[[], Lifter] | None = load_lifter,
    refiner: Callable[[], Refiner] | None = load_refiner,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress = silent,
) -> ReconstructionFiles:
    """Reconstruct the people of a video in one world and write every result into `output`.

    `person` counts from 0 in order of prominence (default: the most prominent); `camera` is how it
    moves, or a file with its path and lens (`cameras.json`, `motion.npz`, a COLMAP text folder), one
    camera a frame in a world of any axes and scale; `focal` is in pixels of the upright image;
    `quality` is how much work is done; `from_stage` redoes that stage and those after it; `detector`
    opens another model than the embedded one; `prior` another prior than the shipped one, `lifter`
    and `refiner` likewise, and None fits without it; `seed` is of the samples the camera's kind is
    decided by.
    Raises InputError for a bad video or body, NothingFoundError without a person, UsageError for a
    person or stage that does not exist, a camera, quality or focal length that cannot be meant,
    OutputError when results are there already (without `overwrite`) or cannot be written.
    """
    _check_options(focal, quality)
    check_camera(camera, focal)
    return_large_blocks()
    level = QUALITIES[quality]
    info = probe(video)
    path = kind_or_path(
        camera, width=info.width, height=info.height, frames=max(info.frames_estimate, 1)
    )
    folder = writable_folder(output)
    check_targets(folder, video=Path(video), overwrite=overwrite or from_stage is not None)
    model = BodyModel.load(body)
    runner = StageRunner(
        folder / "stages", f"{humanmotion.__version__}-{sha256(video)}", from_stage, progress
    )
    learnt = Learnt(prior and prior(), lifter and lifter(), refiner and refiner())
    recovery = _Recovery(Path(video), info, runner, body=model, learnt=learnt, quality=level)
    result = recovery.run(detector=detector, person=person, camera=path, focal=focal, seed=seed)
    give_back()
    return export(
        result, model, video=Path(video), folder=folder, overlay_side=level.overlay_side,
        runner=runner,
    )  # fmt: skip


def _check_options(focal: float | None, quality: str) -> None:
    """Before minutes are spent on the stages that come before these are used."""
    if quality not in QUALITIES:
        raise UsageError(f"quality {quality!r} given; it must be one of {', '.join(QUALITIES)}")
    if focal is not None and not (math.isfinite(focal) and focal > 0):
        raise UsageError(f"focal length {focal} given; it must be a positive number of pixels")


class _Recovery:
    """The stages of one video; each method is one stage."""

    def __init__(
        self,
        video: Path,
        info: VideoInfo,
        runner: StageRunner,
        *,
        body: BodyModel,
        learnt: Learnt,
        quality: Quality,
    ) -> None:
        self._video, self._info, self._runner = video, info, runner
        self._body, self._learnt, self._quality = body, learnt, quality

    def run(
        self,
        *,
        detector: Callable[[], Detector],
        person: int | None,
        camera: KindChoice | Camera,
        focal: float | None,
        seed: int,
    ) -> Reconstruction:
        people = self._people(detector)
        chosen = _chosen(people, person)
        shots = self._runner.run(
            "shots",
            lambda: find_shots(people.content, people.tracks, times=people.times),
            settings={},
            classes=_KEPT,
        )
        cameras = self._cameras(people, shots, camera=camera, focal=focal, seed=seed)
        # Hands and faces are most of the points, and read again when it is their turn.
        people = replace(people, tracks=tuple(people.tracks[i].to_set(SET) for i in chosen))
        give_back()
        self._poses(people.tracks, shots, cameras, chosen)
        found = self._world(people.tracks, shots, cameras)
        world, lifted = found.world, self._runner.again("pose", classes=_KEPT)
        motions = tuple(
            person_motion(
                found, k, lifted[k], shot_id=_shot_id(shots), body=self._body,
                fps=self._info.fps, meta={"source": self._video.name, "person": index},
            )
            for k, index in enumerate(chosen)
        )  # fmt: skip
        seen_by = self._camera(found)
        return Reconstruction(
            people=motions,
            camera=seen_by,
            shots=shots,
            camera_kinds=tuple(c.kind for c in cameras),
            cuts=world.cuts,
            reprojection=reprojection_share(
                motions[0], seen_by, keypoints=people.tracks[0], body=self._body
            ),
            warnings=(
                *people.warnings,
                *viewing_warnings(people.tracks[0]),
                *camera_warnings(cameras, shots),
                *body_warnings(self._body),
            ),
        )

    def _people(self, detector: Callable[[], Detector]) -> People:
        def compute() -> People:
            frames = max(self._info.frames_estimate, 1)
            started = time.perf_counter()
            with (
                closing(detector()) as opened,
                closing(read_frames(self._video, max_side=DETECTION_SIDE)) as reader,
            ):
                self._runner.seconds["people/models"] = time.perf_counter() - started
                watched = self._watched(reader, "people", frames)
                seen = watch_people(watched, opened, max_people=MAX_PEOPLE)
            # Without the models there is room for everybody's keypoints over a long video.
            give_back()
            found = seen.people((self._info.width, self._info.height))
            for part in ("boxes", "keypoints", "content"):
                self._runner.seconds[f"people/{part}"] = found.seconds.get(part, 0.0)
            return replace(found, warnings=(*found.warnings, *reader.warnings))

        name = getattr(detector, "__qualname__", repr(detector))
        return self._runner.run("people", compute, settings={"detector": name}, classes=_KEPT)

    def _watched(
        self, frames: Iterable[tuple[float, Image]], stage: str, total: int
    ) -> Iterator[tuple[float, Image]]:
        """The same frames, telling the progress of `stage` and timing the decoder as they pass."""
        waited, number, source = 0.0, 0, iter(frames)
        while True:
            asked = time.perf_counter()
            frame = next(source, None)
            waited += time.perf_counter() - asked
            self._runner.seconds[f"{stage}/decode"] = waited
            if frame is None:
                return
            self._runner.progress(stage, min(number / max(total, 1), 0.99))
            number += 1
            yield frame

    def _cameras(
        self,
        people: People,
        shots: tuple[Shot, ...],
        *,
        camera: KindChoice | Camera,
        focal: float | None,
        seed: int,
    ) -> tuple[CameraMotion, ...]:
        if isinstance(camera, Camera):
            return self._known(camera, shots, frames=len(people))

        def compute() -> tuple[CameraMotion, ...]:
            given = None if focal is None else focal / self._camera_scale
            with closing(read_frames(self._video, max_side=CAMERA_SIDE)) as reader:
                frames = self._watched(reader, "camera", len(people))
                return estimate_motions(
                    frames, tracks=people.tracks, shots=shots, focal=given, kind=camera, seed=seed
                )

        settings = {"camera": camera, "focal": focal, "seed": seed}
        return self._runner.run("camera", compute, settings=settings, classes=_KEPT)

    def _known(
        self, camera: Camera, shots: tuple[Shot, ...], *, frames: int
    ) -> tuple[CameraMotion, ...]:
        def compute() -> tuple[CameraMotion, ...]:
            path = of_every_frame(camera, frames=frames, path="the camera given")
            return known_motions(path, shots=shots, scale=self._camera_scale)

        settings = {"path": digest({k: getattr(camera, k) for k in ("K", "R_w2c", "t_w2c")})}
        return self._runner.run("camera", compute, settings=settings, classes=_KEPT)

    def _poses(
        self,
        tracks: Sequence[Keypoints],
        shots: tuple[Shot, ...],
        cameras: tuple[CameraMotion, ...],
        chosen: Sequence[int],
    ) -> None:
        view = self._view(cameras, shots)

        def compute() -> tuple[PoseTrack, ...]:
            fitted: list[PoseTrack] = []
            with _one_thread():
                for number, track in enumerate(tracks):
                    self._runner.progress("pose", number / len(tracks))
                    fitted.append(
                        fit_body(track, self._body, self._learnt, view=view, quality=self._quality)
                    )
                give_back()
                if self._quality.hands_and_face:
                    whole: People = self._runner.again("people", classes=_KEPT)
                    fitted = [  # each is let go of as it is used
                        fit_hands_and_face(
                            fitted.pop(0), whole.tracks[i], self._body, shot_id=view.shot_id
                        )
                        for i in chosen
                    ]
            return tuple(fitted)

        settings = {
            "chosen": list(chosen),
            "quality": self._quality.pose(),
            "body": self._body.sha256,
            "prior": self._learnt.prior and digest(self._learnt.prior.tensors()),
            "lifter": self._learnt.lifter and digest(self._learnt.lifter.state_dict()),
        }
        self._runner.run("pose", compute, settings=settings, classes=_KEPT)

    def _world(
        self,
        keypoints: Sequence[Keypoints],
        shots: tuple[Shot, ...],
        cameras: tuple[CameraMotion, ...],
    ) -> JointResult:
        def compute() -> JointResult:
            K = self._intrinsics(cameras, shots)
            # Read anew, and let go of: over a long video poses are most of what is held.
            tracks: tuple[PoseTrack, ...] = self._runner.again("pose", classes=_KEPT)
            with _one_thread():
                world = to_world(tracks, shots=shots, cameras=cameras, body=self._body,
                                 refiner=self._learnt.refiner)  # fmt: skip
                world = resect(world, tracks, K=K, shots=shots, cameras=cameras, body=self._body)
                tracks = tuple(track.at_rest() for track in tracks)
                give_back()
                lifter = self._learnt.lifter
                if not self._quality.joint_steps or lifter is None:
                    return JointResult(world, tuple(t.betas for t in tracks), K)
                view = self._view(cameras, shots)
                looks = [
                    Look(t, points, guess_body(points, lifter, view=view))
                    for t, points in zip(tracks, keypoints, strict=True)
                ]
                return optimise_world(
                    world, looks, K=K, shots=shots, cameras=cameras, body=self._body,
                    prior=self._learnt.prior, steps=self._quality.joint_steps,
                )  # fmt: skip

        refiner = self._learnt.refiner
        settings = {
            "joint_steps": self._quality.joint_steps,
            "refiner": refiner and digest(refiner.state_dict()),
        }
        return self._runner.run("world", compute, settings=settings, classes=_KEPT)

    def _view(self, cameras: tuple[CameraMotion, ...], shots: tuple[Shot, ...]) -> View:
        K = self._intrinsics(cameras, shots)
        return View(K, torch.cat([c.R_c2c0 for c in cameras]).to(K.dtype), _shot_id(shots))

    @property
    def _camera_scale(self) -> float:
        """Pixels of the full image in one pixel of the pictures that camera motion is read from."""
        return max(1.0, max(self._info.width, self._info.height) / CAMERA_SIDE)

    def _intrinsics(self, cameras: tuple[CameraMotion, ...], shots: tuple[Shot, ...]) -> Tensor:
        """`(T, 3, 3)` in pixels of the upright full-size image."""
        focal = [c.focal.focal_px * self._camera_scale for c in cameras]
        per_frame = torch.tensor(focal)[_shot_id(shots)]
        return intrinsics(per_frame, width=self._info.width, height=self._info.height)

    def _camera(self, found: JointResult) -> Camera:
        K, world = found.K, found.world
        return Camera(
            K=K,
            R_w2c=world.R_w2c.to(K.dtype),
            t_w2c=world.t_w2c.to(K.dtype),
            width=self._info.width,
            height=self._info.height,
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Fitting is thousands of small products: handing them round threads costs more than it saves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _chosen(people: People, person: int | None) -> list[int]:
    """Tracks to reconstruct, the one asked for first; raises UsageError when it is not there."""
    first = 0 if person is None else person
    if not 0 <= first < len(people.tracks):
        raise UsageError(
            f"person {person} given; {len(people.tracks)} found, numbered from 0 by prominence"
        )
    seen = [float(t.seen.float().mean()) for t in people.tracks]
    others = [i for i, s in enumerate(seen) if i != first and s >= MIN_SEEN_SHARE]
    return [first, *others]


def _shot_id(shots: Sequence[Shot]) -> Tensor:
    lengths = torch.tensor([s.stop - s.start for s in shots])
    return torch.repeat_interleave(torch.arange(len(shots)), lengths)
