"""Make the contact sheet of generated motion: `python docs/make_contact_sheets.py`.

Each row is a prompt and the first sample of seed 0, four seconds long: poses at even times, put side by
side, the pelvis at its height. How far a person goes is not shown.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from humanmotion.body import BodyModel
from humanmotion.generation.cleanup import cleaned
from humanmotion.generation.sampler import TextToMotion
from humanmotion.motion import Motion
from humanmotion.rotations import rotation_about_z
from humanmotion.viz.mesh import PERSON_COLORS, Mesh
from humanmotion.viz.render import Renderer, open_renderer
from humanmotion.viz.scene import world_picture

PROMPTS = (
    "a person walks forward", "a person runs forward", "a person walks in a circle",
    "a person walks backward", "a person turns left while walking", "a person jumps",
    "a person jumps forward", "a person hops on one leg", "a person sits down on a chair",
    "a person stands up from a chair", "a person crouches", "a person kicks a ball",
    "a person punches", "a person waves with the right hand", "a person waves with both hands",
    "a person claps", "a person points forward", "a person dances", "a person swings a sword",
    "a person climbs stairs", "a person lies down", "a person stretches", "a person bows",
    "a person stands still",
)  # fmt: skip
POSES, APART, SECONDS = 7, 0.9, 4.0
WIDTH, HEIGHT = 700, 170
AROUND = rotation_about_z(torch.tensor(2.5)).numpy()


def main() -> None:
    """Write docs/images/generated.jpg."""
    make, body = TextToMotion.from_pretrained(), BodyModel.load()
    renderer = open_renderer()
    rows = []
    for motion, prompt in zip(make(PROMPTS, seconds=SECONDS), PROMPTS, strict=True):
        tile = _tile(cleaned(motion, body), body, renderer)
        cv2.putText(
            tile, prompt, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1, cv2.LINE_AA
        )
        rows.append(tile)
    renderer.close()
    half = len(rows) // 2
    picture = np.hstack([np.vstack(rows[:half]), np.vstack(rows[half:])])
    path = Path(__file__).parent / "images" / "generated.jpg"
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])


def _tile(motion: Motion, body: BodyModel, renderer: Renderer) -> np.ndarray:
    at = np.linspace(0, len(motion) - 1, POSES).round().astype(int).tolist()
    vertices = body.pose(motion[at]).vertices.numpy().astype(np.float32)
    pelvis = body.joints_of(motion[at])[:, 0].numpy()
    meshes = []
    for number, (own, root) in enumerate(zip(vertices, pelvis, strict=True)):
        # Motions start away from the camera.
        moved = (own - root * np.array((1, 1, 0), np.float32)) @ AROUND.T
        moved += np.array((APART * (number - POSES / 2), 0, 0), np.float32)
        meshes.append(Mesh(moved, body.faces.numpy(), PERSON_COLORS[0]))
    return world_picture(meshes, width=WIDTH, height=HEIGHT, renderer=renderer)


if __name__ == "__main__":
    main()
