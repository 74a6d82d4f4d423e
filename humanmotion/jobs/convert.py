"""Convert files: motion between formats, and pickled bodies to npz."""

from __future__ import annotations

from pathlib import Path

from humanmotion.body import BodyModel
from humanmotion.body.pickle_convert import convert_pickle
from humanmotion.errors import UsageError
from humanmotion.io.convert import Units, content, convert_file
from humanmotion.io.hands import Hands


def convert(
    source: str | Path,
    target: str | Path,
    *,
    body: str | Path | None = None,
    hands: Hands | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    units: Units | None = None,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Convert `source` to `target` by their endings; returns notes for the user.

    A motion is put onto `body`. `hands="mean"` says that hands are measured from the mean hand, in
    a file that does not; `size` is the picture's width and height in pixels, which OpenPose files
    lack; `fps` the rate of a file that states none; `units` those of a .bvh to write.

    Raises UsageError for pairs that do not go together and options that mean nothing for them,
    InputError for a bad file, OutputError when `target` exists without `overwrite` or cannot be
    written.
    """
    if body is not None and (carried := content(source, target)) != "motion":
        raise UsageError(f"{carried} are converted here, which need no body; leave --body out")
    return convert_file(
        source,
        target,
        body=None if body is None else BodyModel.load(body),
        hands=hands,
        size=size,
        fps=fps,
        units=units,
        overwrite=overwrite,
    )


def convert_body(
    source: str | Path, target: str | Path, *, overwrite: bool = False
) -> dict[str, str | int]:
    """Write a pickled SMPL-X, SMPL-H or SMPL file as npz; see `convert_pickle` for what it raises.

    Returns its `body`, `kind`, `vertices` and `joints` (of 55).
    """
    body = convert_pickle(source, target, overwrite=overwrite)
    return {
        "body": body.body_id,
        "kind": body.kind,
        "vertices": len(body.template),
        "joints": int(body.joints_present.sum()),
    }
