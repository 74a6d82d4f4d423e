"""Make README's picture: `python docs/make_pictures.py FOLDER` reconstructs the demo's clip there.

Left: frames of the clip with the reconstructed body over them. Right: that body in its world.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from humanmotion.body import BodyModel
from humanmotion.io.npz import read_motion
from humanmotion.io.video import read_frames
from humanmotion.jobs.demo import run_demo
from humanmotion.viz.mesh import PERSON_COLORS, Mesh
from humanmotion.viz.render import open_renderer
from humanmotion.viz.scene import world_picture

FRAMES = (12, 52, 66, 112)
HEIGHT = 240
WIDTH = 2 * HEIGHT * 16 // 9


def main(folder: Path) -> None:
    """Write docs/images/reconstruct.png."""
    run_demo(folder, overwrite=True)
    with closing(read_frames(folder / "overlay.mp4")) as reader:
        frames = [image for number, (_, image) in enumerate(reader) if number in FRAMES]
    tiles = [cv2.resize(f, (WIDTH // 2, HEIGHT), interpolation=cv2.INTER_AREA) for f in frames]
    left = np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])
    motion, body = read_motion(folder / "motion.npz"), BodyModel.load()
    vertices = body.pose(motion[4::16]).vertices.numpy()
    meshes = [Mesh(v.astype(np.float32), body.faces.numpy(), PERSON_COLORS[0]) for v in vertices]
    renderer = open_renderer()
    world = world_picture(meshes, width=WIDTH, height=2 * HEIGHT, renderer=renderer)
    renderer.close()
    picture = cv2.cvtColor(np.hstack([left, world]), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(Path(__file__).parent / "images" / "reconstruct.png"), picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
