"""Convert files: motion between formats, and pickled bodies to npz."""

from __future__ import annotations

from pathlib import Path

from humanmotion.body import BodyModel
from humanmotion.body.pickle_convert import convert_pickle
from humanmotion.io.convert import convert_file


def convert(
    source: str | Path,
    target: str | Path,
    *,
    body: str | Path | None = None,
    size: tuple[int, int] | None = None,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Convert `source` to `target` by their endings; returns notes for the user.

    `size` is the picture's width and height in pixels, which OpenPose keypoint files lack.

    Raises UsageError for pairs that do not go together, InputError for a bad file, OutputError when
    `target` exists without `overwrite` or cannot be written.
    """
    return convert_file(source, target, body=BodyModel.load(body), size=size, overwrite=overwrite)


def convert_body(source: str | Path, target: str | Path, *, overwrite: bool = False) -> None:
    """Write a pickled SMPL-X, SMPL-H or SMPL file as npz; see `convert_pickle` for what it raises."""
    convert_pickle(source, target, overwrite=overwrite)
