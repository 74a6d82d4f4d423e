"""Video in, motion out, and how far it is from the truth.

The package films its own body walking through a room, seen by two cameras with a cut between them. It
then reconstructs the film as it would any other, knowing nothing but the pixels, and what comes out is
compared with what was filmed.

Writes `clip.mp4` and `truth.npz`, and into `result/` all that `humanmotion reconstruct` writes:
look at `overlay.mp4` first. Prints errors of pose, world and root path in millimetres, of the turn
at the cut in degrees, and how much feet slide. The film is short and small to be quick;
`humanmotion demo` makes a longer one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from humanmotion import BodyModel, reconstruct, write_motion
from humanmotion.files import writable_folder
from humanmotion.jobs.demo import compare, render_demo_clip


def main(output: Path, *, seconds: float = 2.0, size: tuple[int, int] = (640, 360)) -> None:
    """Film, reconstruct and compare in the folder `output`; `size` is (width, height) in pixels."""
    folder = writable_folder(output)
    truth = render_demo_clip(folder / "clip.mp4", seconds=seconds, size=size)
    write_motion(folder / "truth.npz", truth.motion, camera=truth.camera)
    files = reconstruct(folder / "clip.mp4", output=folder / "result", overwrite=True)
    for name, value in compare(truth, folder / "result", BodyModel.load()).items():
        print(f"{name}: {value:.1f}")
    print(files.report_html)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder to write into")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of the film")
    given = parser.parse_args()
    main(given.output, seconds=given.seconds)
