"""One motion in other programs' formats, and what comes back.

Writes a walk as `motion.npz`, then `motion.bvh` (game engines, Blender), `motion.glb` (browsers,
Blender), `motion.trc` (OpenSim) and `motion.amass.npz` (AMASS). BVH and AMASS files are read back as
motions, TRC as joint positions. GLB cannot be read back: what it loses is how far its skinned
vertices are from the body's own, at worst.

Prints for each format how far any joint in any frame ended up from where it was, in millimetres.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torch import Tensor

from humanmotion import BodyModel, read_any, read_motion, write_any, write_motion
from humanmotion.files import writable_folder
from humanmotion.io import read_trc
from humanmotion.jobs.demo_motion import walking_motion


def worst_mm(found: Tensor, true: Tensor) -> float:
    """Largest distance in millimetres between joints `(T, J, 3)`."""
    return 1000 * float((found - true).norm(dim=-1).max())


def main(output: Path) -> None:
    """Write the walk in every format into the folder `output` and print the errors."""
    folder, body = writable_folder(output), BodyModel.load()
    write_motion(folder / "motion.npz", walking_motion(body, seconds=2.0))
    motion = read_motion(folder / "motion.npz")
    joints = body.joints_of(motion)
    for ending in ("bvh", "amass.npz"):
        path = folder / f"motion.{ending}"
        write_any(path, motion, body=body)
        back = read_any(path, body=body)
        print(f"{path.name}: {worst_mm(body.joints_of(back), joints):.4f} mm")
    write_any(folder / "motion.trc", motion, body=body)
    track = read_trc(folder / "motion.trc")
    here = [body.joint_names.index(name) for name in track.names]
    print(f"motion.trc: {worst_mm(track.positions, joints[:, here]):.4f} mm")
    for note in write_any(folder / "motion.glb", motion, body=body):
        print(f"motion.glb: {note}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder to write into")
    main(parser.parse_args().output)
