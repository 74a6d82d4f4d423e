"""Show motion files: a live viewer, or one page that can be sent to somebody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from humanmotion.body import BodyModel
from humanmotion.errors import OutputError, UsageError
from humanmotion.io.convert import read_with_camera
from humanmotion.io.gltf import glb_bytes
from humanmotion.motion import Motion
from humanmotion.viz.page import PageReport, Series, write_page
from humanmotion.viz.viewer import serve


def view(
    files: Sequence[str | Path],
    *,
    announce: Callable[[str], None],
    note: Callable[[str], None] | None = None,
    html: str | Path | None = None,
    port: int = 8080,
    body: str | Path | None = None,
    overwrite: bool = False,
) -> None:
    """Serve the motions in `files` until interrupted, or with `html` write them as one page.

    Files of one folder share their world; files of several are put side by side. The viewer shows
    the camera of each file, the page that of the first. `announce` is called with the address, or
    the page's path; `note` with what was assumed in reading. Raises UsageError without files,
    InputError for a bad file, OutputError when the page exists without `overwrite`.
    """
    if not files:
        raise UsageError("no file given to view; give one motion file or more")
    if html is not None and Path(html).exists() and not overwrite:
        raise OutputError(f"{html} exists already; pass --overwrite or name another output")
    paths = [Path(file) for file in files]
    model = BodyModel.load(body)
    read = [read_with_camera(path, body=model) for path in paths]
    motions, cameras = [(motion, model) for motion, _ in read], [camera for _, camera in read]
    names = _names(paths)
    _tell(note, motions, names)
    apart = len({path.resolve().parent for path in paths}) > 1
    if html is not None:
        glb = glb_bytes(motions, camera=cameras[0], names=names)
        title = ", ".join(path.name for path in paths)
        report = motions_report(motions, names)
        write_page(
            html, title=title, glb=glb, report=report, side_by_side=apart, overwrite=overwrite
        )
        announce(str(html))
        return
    viewer = serve(motions, names=names, cameras=cameras, side_by_side=apart, port=port)
    try:
        announce(viewer.url)
        viewer.wait()
    finally:
        viewer.close()


def _names(paths: Sequence[Path]) -> list[str]:
    """File names; with its folder where two are the same, numbered where that is not enough."""
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        names = [f"{path.resolve().parent.name}/{path.stem}" for path in paths]
    if len(set(names)) < len(names):
        names = [f"{name} {number}" for number, name in enumerate(names, 1)]
    return names


def _tell(
    note: Callable[[str], None] | None,
    motions: Sequence[tuple[Motion, BodyModel]],
    names: Sequence[str],
) -> None:
    if note is None:
        return
    for (motion, _), name in zip(motions, names, strict=True):
        for line in motion.meta.get("notes", ()):
            note(f"{name}: {line}")


def motions_report(motions: Sequence[tuple[Motion, BodyModel]], names: Sequence[str]) -> PageReport:
    """Pelvis heights over the time of the longest motion, and what each motion is."""
    longest = max((motion for motion, _ in motions), key=lambda m: m.duration)
    times = (longest.times - longest.times[:1]).tolist()
    series = [
        Series(name, "m", _heights(motion, body, times), plot="pelvis height")
        for (motion, body), name in zip(motions, names, strict=True)
    ]
    facts = [
        (name, f"{len(motion)} frames at {motion.fps:.4g} fps, {motion.duration:.2f} s")
        for (motion, _), name in zip(motions, names, strict=True)
    ]
    return PageReport(times=times, series=series, facts=facts)


def _heights(motion: Motion, body: BodyModel, times: Sequence[float]) -> list[float | None]:
    """Pelvis heights at `times`, seconds from the motion's first frame; None after its last."""
    height = body.joints_of(motion)[:, 0, 2].double().numpy()
    own = (motion.times - motion.times[:1]).double().numpy()
    found = np.interp(times, own, height)
    return [float(h) if t <= own[-1] + 1e-9 else None for h, t in zip(found, times, strict=True)]
