"""What a reconstruction is: people, one camera track, shots and cuts, all in one world."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from humanmotion.camera import Camera
from humanmotion.errors import MotionError
from humanmotion.motion import Motion
from humanmotion.recovery.alignment import CutAlignment
from humanmotion.recovery.shots import Shot


@dataclass(frozen=True)
class Reconstruction:
    """One video in one gravity-aligned world; checks itself when built (raises MotionError)."""

    people: tuple[Motion, ...]
    """The chosen person first, the others by prominence; all over the same frames."""
    camera: Camera
    """One camera per frame."""
    shots: tuple[Shot, ...]
    """The video's shots, end to end."""
    camera_kinds: tuple[str, ...]
    """`static`, `pan` or `moving`, one per shot."""
    cuts: tuple[CutAlignment, ...]
    """What joined each shot to the one before; one fewer than shots."""
    reprojection: Tensor
    """Mean distance to the chosen person's confident keypoints as a share of their height in the
    picture, `(T)`; 0 where there are none."""
    warnings: tuple[str, ...]
    """What the user should know before trusting the result."""

    def __post_init__(self) -> None:
        frames = len(self.camera)
        for number, person in enumerate(self.people):
            if len(person) != frames:
                raise MotionError(f"person {number} has {len(person)} frames, the camera {frames}")
        if len(self.cuts) != max(len(self.shots) - 1, 0):
            raise MotionError(f"{len(self.shots)} shots need {len(self.shots) - 1} cuts")
