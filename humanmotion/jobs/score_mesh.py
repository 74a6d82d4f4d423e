"""What `score --mesh` adds to a clip: how much a body is in itself, and the distances of two priors.

It needs rotations, weights and seconds a clip, so nothing of it is imported unless it is asked for.
"""

from __future__ import annotations

import json
from pathlib import Path

from humanmotion.body import BodyModel
from humanmotion.errors import HumanMotionError
from humanmotion.files import asset, sha256
from humanmotion.io.convert import MOTION_FORMATS, read_any
from humanmotion.io.sniff import sniff
from humanmotion.jobs.fit import WEIGHTS as PRIOR
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.pose_field_weights import WEIGHTS as FIELD
from humanmotion.jobs.pose_field_weights import load_pose_field
from humanmotion.jobs.score_prompts import POSE, Prompt
from humanmotion.metrics.body_inside import BodyInside
from humanmotion.metrics.body_penetration import STRIDE
from humanmotion.metrics.mbench_joints import FPS
from humanmotion.metrics.mbench_names import DPOSERX, MESH_INSIDE, MESH_PENETRATION, POSE_FIELD
from humanmotion.metrics.mbench_value import MetricValue
from humanmotion.motion import Motion
from humanmotion.prior.pose_quality import dposerx_distance, pose_field_distance

MESH_METRICS = (MESH_PENETRATION, MESH_INSIDE, POSE_FIELD, DPOSERX)
JOINTS_ONLY = "it holds joints and no rotations, which a mesh is posed by"


def motion_in(path: Path, body: BodyModel) -> Motion | None:
    """The motion in a file at 20 fps, on `body`; None for a file of joints alone."""
    if path.suffix.lower() == ".npy" or sniff(path) not in MOTION_FORMATS:
        return None
    return read_any(path, body=body).resample(FPS)


class MeshMetrics:
    """Metrics on the mesh of a body and of its poses, at 20 fps; lower is better in all."""

    groups = (POSE,)

    def __init__(self, body: str | Path | None = None) -> None:
        """On the body in a file, or the default one; raises what `BodyModel.load` does."""
        self.body = BodyModel.load(body)
        self._overlap = BodyInside(self.body)
        self._field = load_pose_field()
        self._prior = load_prior()
        weights = [sha256(asset(name)) for name in (FIELD, PRIOR)]
        self.about = {"body": self.body.sha256, "pose_field": weights[0], "prior": weights[1]}
        """What JSON tells of how the values came about."""
        self.digest = json.dumps(["mesh", STRIDE, self.about])

    def takes(self, prompt: Prompt | None) -> bool:
        """Clips of the benchmark's prompts of poses, and all where there are no prompts."""
        return prompt is None or prompt.group in self.groups

    def of(self, path: Path, _prompt: Prompt | None) -> dict[str, MetricValue]:
        """The values by name; without a value, and with the reason, for files without rotations."""
        try:
            motion = motion_in(path, self.body)
        except HumanMotionError as error:
            return dict.fromkeys(MESH_METRICS, MetricValue(None, str(error)))
        if motion is None:
            return dict.fromkeys(MESH_METRICS, MetricValue(None, JOINTS_ONLY))
        penetration, inside = self._overlap(motion)
        return {
            MESH_PENETRATION: penetration,
            MESH_INSIDE: inside,
            POSE_FIELD: pose_field_distance(self._field, motion),
            DPOSERX: dposerx_distance(self._prior, motion),
        }
