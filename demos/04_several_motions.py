"""Two motions side by side in one page.

A walk and its mirror image, each in a folder of its own: motions of one folder are taken to share a
world, those of several folders are moved apart. `humanmotion view A B --html PAGE` does the same.

Writes `walk/walk.npz`, `mirrored/mirrored.npz` and `two.html`: one file with both bodies, a timeline
and the heights of both pelvises, which opens in any browser without a network.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from humanmotion import BodyModel, write_motion
from humanmotion.files import writable_folder
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.view import view


def main(output: Path) -> None:
    """Write two motions and their page into the folder `output`."""
    folder = writable_folder(output)
    walk = walking_motion(BodyModel.load(), seconds=3.0)
    files = []
    for name, motion in (("walk", walk), ("mirrored", walk.mirror())):
        files.append(writable_folder(folder / name) / f"{name}.npz")
        write_motion(files[-1], motion)
    view(files, html=folder / "two.html", announce=print, overwrite=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder to write into")
    main(parser.parse_args().output)
