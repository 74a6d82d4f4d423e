"""The default body: shape, pose, fists and a face.

Every person is SMPL-X parameters on a body: ten numbers of shape, one rotation for each of 55 joints,
ten numbers of facial expression. The body that comes with the package is built from CC0 files.

Writes `body.glb`, two people of different shape who go from the rest pose into one pose and back (open
it in Blender or a browser's viewer), and `body.png`: the rest pose, two other shapes, the pose, and a
face and a fist from near.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import cv2
import numpy as np
import torch

from humanmotion import BodyModel, Motion
from humanmotion.files import writable_folder
from humanmotion.io import write_glb
from humanmotion.viz import Mesh, open_renderer, outfit_colors, world_picture

UPRIGHT = (math.pi / 2, 0.0, 0.0)  # the rest pose is y up, the world z up
DEGREES = {  # local rotation vectors; x turns forward, z sideways (left: minus lowers the arm)
    "left_shoulder": (0, -20, -55), "right_shoulder": (0, 10, 45), "right_elbow": (0, 0, -130),
    "left_elbow": (0, -60, 0), "left_hip": (-25, 0, 8), "left_knee": (35, 0, 0),
    "spine2": (0, 12, 0), "head": (0, -10, 0), "jaw": (14, 0, 0),
}  # fmt: skip


def make_motion(body: BodyModel, betas: torch.Tensor, *, x: float, frames: int = 60) -> Motion:
    """From rest into the pose and back in two seconds, `x` metres to the side, soles at 0."""
    share = torch.sin(torch.linspace(0, math.pi, frames)) ** 2
    rotvec = torch.zeros(frames, 55, 3)
    for name, angles in DEGREES.items():
        rotvec[:, body.joint_names.index(name)] = share[:, None] * torch.tensor(angles).deg2rad()
    for first, sign in ((25, -1), (40, 1)):  # fingers bend about z, the thumb (last) about y
        rotvec[:, first : first + 12, 2] = share[:, None] * sign * math.radians(75)
        rotvec[:, first + 12 : first + 15, 1] = share[:, None] * sign * math.radians(-30)
    rotvec[:, 0] = torch.tensor(UPRIGHT)
    expression = share[:, None] * torch.tensor((1.0, *(0.0,) * 9))  # a smile
    motion = Motion.create(rotvec, torch.zeros(frames, 3), fps=30, betas=betas,
                           expression=expression, body_id=body.body_id)  # fmt: skip
    floor = body.pose(motion).vertices[..., 2].amin(-1)
    transl = torch.stack((torch.full_like(floor, x), torch.zeros_like(floor), -floor), -1)
    return motion.with_rotations(motion.rotations, transl=transl)


def part(mesh: Mesh, keep: np.ndarray) -> Mesh:
    """The vertices of a mesh for which `keep` `(V)` holds, and the faces between them."""
    number = np.cumsum(keep) - 1
    faces = number[mesh.faces[keep[mesh.faces].all(1)]]
    return Mesh(mesh.vertices[keep], faces, np.asarray(mesh.colors)[keep])


def main(output: Path) -> None:
    """Write body.glb and body.png into the folder `output`."""
    folder, body = writable_folder(output), BodyModel.load()
    shapes = torch.zeros(3, 10)
    shapes[1, :2], shapes[2, :2] = torch.tensor((2.0, 1.0)), torch.tensor((-2.0, -1.0))
    motions = [make_motion(body, betas, x=1.7 * i) for i, betas in enumerate(shapes)]
    write_glb(folder / "body.glb", [(m, body) for m in motions[1:]], names=("one", "other"))

    frames = [m[:1] for m in motions] + [make_motion(body, shapes[0], x=4.8)[30:31]]
    colors, faces = outfit_colors(body), body.faces.numpy()
    meshes = [Mesh(body.pose(m).vertices[0].numpy(), faces, colors) for m in frames]
    joint = body.weights.argmax(1).numpy()
    near = [
        part(meshes[-1], np.isin(joint, ids)) for ids in ((15, 22, 23, 24), (21, *range(40, 55)))
    ]
    renderer = open_renderer()
    tiles = [world_picture([m], width=270, height=270, renderer=renderer) for m in near]
    wide = world_picture(meshes, width=1200, height=540, renderer=renderer)
    renderer.close()
    picture = np.hstack([wide, np.vstack(tiles)])
    cv2.imwrite(str(folder / "body.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder to write into")
    main(parser.parse_args().output)
