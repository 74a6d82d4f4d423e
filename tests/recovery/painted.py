"""Pictures of the default body in a shirt and trousers before a blurred wall; the detector sees it.

A person is `(x, depth, yaw, shirt)`: metres in camera axes, radians (0 faces the camera), RGB.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from humanmotion.body import BodyModel
from humanmotion.viz.mesh import Mesh
from humanmotion.viz.painter import Painter

BLUE, RED = (0.2, 0.3, 0.8), (0.8, 0.2, 0.2)
SKIN, TROUSERS = (0.75, 0.57, 0.47), {BLUE: (0.2, 0.2, 0.2), RED: (0.25, 0.3, 0.6)}
SHOULDERS = ((16, -1.0), (17, 1.0))


class Studio:
    """Paints people at a given size with a given focal length."""

    def __init__(self, body: BodyModel, *, width: int = 480, height: int = 640) -> None:
        self.size = (width, height)
        self.focal = 600.0 * max(width, height) / 640
        turns = torch.eye(3).expand(1, 55, 3, 3).clone()
        for joint, side in SHOULDERS:
            turns[0, joint] = torch.tensor(_about_z(side * np.deg2rad(55)))
        self.joints = body.joints(turns)[0].numpy()
        self.vertices = body.vertices(turns)[0].numpy()
        self.marks = body.landmarks("mediapipe_33", turns)[0].numpy()
        self.faces = body.faces.numpy()
        wall = np.random.default_rng(0).integers(60, 200, (12, 9, 3), dtype=np.uint8)
        self.wall = cv2.resize(wall, self.size, interpolation=cv2.INTER_CUBIC)

    def paint(self, *people, wall=None):
        """The picture `(H, W, 3)`, and the 33 landmarks of each person in pixels."""
        width, height = self.size
        K = np.array([[self.focal, 0, width / 2], [0, self.focal, height / 2], [0, 0, 1.0]])
        meshes, marks = [], []
        for x, depth, yaw, shirt in people:
            place = lambda p, x=x, depth=depth, yaw=yaw: (  # noqa: E731
                (p - self.joints[0]) @ (np.diag([1, -1, -1]) @ _about_y(yaw)).T + [x, 0, depth]
            )
            vertices = place(self.vertices).astype(np.float32)
            meshes.append(Mesh(vertices, self.faces, self._clothes(shirt)))
            seen = place(self.marks) @ K.T
            marks.append(seen[:, :2] / seen[:, 2:])
        rgba = Painter().render(meshes, K, width=width, height=height).rgba
        behind = self.wall if wall is None else wall
        return np.where(rgba[..., 3:] > 0, rgba[..., :3], behind).astype(np.uint8), marks

    def _clothes(self, shirt):
        up, aside = self.vertices[:, 1], np.abs(self.vertices[:, 0])
        waist, ankle, neck = self.joints[0, 1] + 0.05, self.joints[7, 1] + 0.05, self.joints[12, 1]
        colors = np.tile(SKIN, (len(up), 1))
        colors[(up < waist) & (up > ankle)] = TROUSERS[shirt]
        colors[(up >= waist) & (up < neck - 0.02) & (aside < 0.35)] = shirt
        return colors


def _about_y(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _about_z(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
