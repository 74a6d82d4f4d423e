"""Video in, motion files out: the main job, stage by stage, resumable.

people -> shots -> camera -> pose -> world -> export. Each stage's result is a value kept in
`OUTPUT/stages`; a second run takes what still holds and goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.camera import Camera, intrinsics
from humanmotion.errors import NothingFoundError, UsageError
from humanmotion.files import sha256, writable_folder
from humanmotion.io.video import VideoInfo, probe, read_frames
from humanmotion.jobs.exports import ReconstructionFiles, export
from humanmotion.jobs.stages import Progress, StageRunner, silent
from humanmotion.motion import Motion
from humanmotion.recovery.alignment import CutAlignment
from humanmotion.recovery.detection import MediaPipeDetector
from humanmotion.recovery.face import fit_face
from humanmotion.recovery.focal import FocalEstimate, choose_focal
from humanmotion.recovery.hands import fit_hand
from humanmotion.recovery.lifting import Lifted, lift
from humanmotion.recovery.odometry import CameraMotion, estimate_motions
from humanmotion.recovery.people import People, find_people
from humanmotion.recovery.pose_statistics import PoseStatistics
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.result import Reconstruction
from humanmotion.recovery.shots import Shot, find_shots
from humanmotion.recovery.world import WorldResult, to_world

CameraKind = Literal["auto", "static", "pan", "moving"]
MAX_PEOPLE = 6
MIN_SEEN_SHARE = 0.15
"""A track seen in a smaller share of the video than this is a passer-by and is not fitted,
unless it is the chosen person."""


def reconstruct(
    video: str | Path,
    *,
    output: str | Path,
    body: str | Path | None = None,
    person: int | None = None,
    camera: CameraKind = "auto",
    focal: float | None = None,
    from_stage: str | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress = silent,
) -> ReconstructionFiles:
    """Reconstruct the people of a video in one world and write every result into `output`.

    `person` counts from 0 in order of prominence (default: the most prominent); `focal` is in
    pixels of the upright image; `from_stage` redoes that stage and those after it. Raises
    InputError for a bad video or body, NothingFoundError without a person, OutputError when the
    folder holds results already (without `overwrite`) or cannot be written.
    """
    info = probe(video)
    folder = writable_folder(output)
    cv2.setRNGSeed(seed)
    model = BodyModel.load(body)
    runner = StageRunner(folder / "stages", f"{sha256(video)}-{seed}", from_stage, progress)
    result = _recover(Path(video), info, runner, model=model, person=person, camera=camera,
                      focal=focal)
    return export(result, model, video=Path(video), folder=folder, runner=runner,
                  overwrite=overwrite)
