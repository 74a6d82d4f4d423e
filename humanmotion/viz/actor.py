"""One motion as the live viewer shows it: a skinned mesh, a skeleton and a path on the floor."""

from __future__ import annotations

import numpy as np
import torch
import viser

from humanmotion.body import BodyModel
from humanmotion.motion import Motion
from humanmotion.viz.mesh import PERSON_COLORS, Array

_BONE_METRES, _PATH_METRES = 0.012, 0.01
_LABEL_METRES = 1.05
"""Height of the name above the pelvis."""


class Actor:
    """A motion in a viser scene."""

    def __init__(
        self, server: viser.ViserServer, motion: Motion, body: BodyModel, *, name: str, number: int
    ) -> None:
        self.times = motion.times.double().cpu().numpy()
        """Seconds `(T)`."""
        places, turns = body.frames(motion.rotations, betas=motion.betas, transl=motion.transl)
        self.places: Array = places.detach().cpu().numpy()
        """World positions of the joints `(T, 55, 3)`, metres."""
        self._turns = viser.transforms.SO3.from_matrix(turns.double().detach().cpu().numpy()).wxyz
        self._seen = (motion.confidence > 0).any(-1).cpu().numpy()
        self._parents = np.array(body.parents)
        color = PERSON_COLORS[number % len(PERSON_COLORS)]
        paint = np.rint(255 * np.array(color)).astype(np.uint8)
        scene = server.scene
        self._group = scene.add_frame(f"/people/{number}", show_axes=False)
        rest = torch.eye(3).expand(1, len(body.parents), 3, 3)
        self._mesh = scene.add_mesh_skinned(
            f"{self._group.name}/body",
            body.vertices(rest, betas=motion.betas)[0].detach().cpu().numpy(),
            body.faces.cpu().numpy(),
            bone_wxyzs=np.tile(np.array((1.0, 0.0, 0.0, 0.0)), (len(body.parents), 1)),
            bone_positions=body.rest_joints(motion.betas).detach().cpu().numpy(),
            skin_weights=body.weights.cpu().numpy(),
            color=paint,
        )
        self._bones = scene.add_line_segments(
            f"{self._group.name}/skeleton", self._segments(0), colors=paint, thickness=_BONE_METRES
        )
        self._path = scene.add_line_segments(
            f"{self._group.name}/path", self._floor_path(), colors=paint, thickness=_PATH_METRES
        )
        self._label = scene.add_label(f"{self._group.name}/name", name)

    @property
    def facing(self) -> Array:
        """Horizontal unit direction `(3)` the person faces in the first frame."""
        front = viser.transforms.SO3(self._turns[0, 0]) @ np.array((0.0, 0.0, 1.0))
        front[2] = 0.0
        length = np.linalg.norm(front)
        return front / length if length > 1e-6 else np.array((0.0, -1.0, 0.0))

    def show(self, seconds: float) -> None:
        """Take the pose of the frame nearest to a time; hide where the person is absent."""
        frame = frame_at(self.times, seconds)
        self._group.visible = bool(self._seen[frame])
        for joint, bone in enumerate(self._mesh.bones):
            bone.wxyz = self._turns[frame, joint]
            bone.position = self.places[frame, joint]
        self._bones.points = self._segments(frame)
        self._label.position = self.places[frame, 0] + np.array((0.0, 0.0, _LABEL_METRES))

    def arrange(self, *, mesh: bool, skeleton: bool, offset: Array) -> None:
        """Show or hide the parts, and move everything by `offset` `(3)` metres."""
        self._mesh.visible = mesh
        self._mesh.opacity = 0.55 if skeleton else None
        self._bones.visible = skeleton
        self._group.position = offset

    def _segments(self, frame: int) -> Array:
        """Bones `(54, 2, 3)` of a frame."""
        children = np.flatnonzero(self._parents >= 0)
        ends = self.places[frame, children], self.places[frame, self._parents[children]]
        return np.stack(ends, 1).astype(np.float32)

    def _floor_path(self) -> Array:
        """Where the pelvis passes, on the floor: `(T - 1, 2, 3)`."""
        track = self.places[:, 0] * np.array((1.0, 1.0, 0.0), np.float32)
        return np.stack((track[:-1], track[1:]), 1)


def frame_at(times: Array, seconds: float) -> int:
    """Index of the frame nearest to a time; `times` `(T)` rise."""
    return int(np.abs(times - seconds).argmin())
