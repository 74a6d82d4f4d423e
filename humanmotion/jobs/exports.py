"""The files of one reconstruction: motions, GLB, BVH, cameras, overlay video, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from humanmotion.body import BodyModel
from humanmotion.errors import OutputError, UsageError
from humanmotion.files import atomic_path, write_json
from humanmotion.io.bvh import write_bvh
from humanmotion.io.cameras_json import write_cameras_json
from humanmotion.io.gltf import glb_bytes
from humanmotion.io.gltf_body import skinning_residual
from humanmotion.io.npz import write_motion
from humanmotion.jobs.overlay import write_overlay
from humanmotion.jobs.report import page_report, person_names, report_values
from humanmotion.jobs.stages import StageRunner, holds_stages
from humanmotion.memory import give_back
from humanmotion.motion import Motion
from humanmotion.recovery.result import Reconstruction
from humanmotion.viz.page import write_page

Value = TypeVar("Value")
NAMES = ("motion.glb", "motion.bvh", "cameras.json", "overlay.mp4", "report.html", "report.json")


@dataclass(frozen=True)
class ReconstructionFiles:
    """Paths of what a reconstruction wrote."""

    folder: Path
    motions: tuple[Path, ...]
    """`motion.npz` of the chosen person, then `motion_p2.npz` ... of the others."""
    glb: Path
    bvh: Path | None
    """None where the video's frames lie too far apart for a format of even steps."""
    cameras: Path
    overlay: Path
    report_html: Path
    report_json: Path


def check_targets(
    folder: Path, *, video: Path, overwrite: bool, more: tuple[str, ...] = ()
) -> None:
    """Raise OutputError when results, or files of their names, lie in the folder and must be kept.

    What an interrupted run left beside its stage files may be replaced; `more` names further files
    that will be written. Raises UsageError when the `video` itself lies where a result goes.
    """
    others = sorted(folder.glob("motion_p[0-9]*.npz"))
    targets = [*motion_paths(folder, 1), *others, *(folder / name for name in NAMES)]
    if video.resolve() in [target.resolve() for target in targets]:
        raise UsageError(f"{video} would be overwritten by the results; name another folder")
    done = folder / "report.json"
    ours = holds_stages(folder / "stages") and not done.exists()
    targets += [folder / name for name in more]
    there = [target for target in (done, *targets) if target.exists()]
    if there and not (ours or overwrite):
        raise OutputError(
            f"{there[0]} exists already; pass --overwrite to redo the results, "
            "or name another folder"
        )


def export(
    result: Reconstruction,
    body: BodyModel,
    *,
    video: Path,
    folder: Path,
    overlay_side: int,
    runner: StageRunner,
) -> ReconstructionFiles:
    """Write every file; `report.json` comes last, so its presence says that all are there."""
    progress = runner.progress
    progress("export", 0.0)
    spent: dict[str, float] = {}
    (folder / "report.json").unlink(missing_ok=True)
    motions = motion_paths(folder, len(result.people))
    pairs = [(motion, body) for motion in result.people]
    names = person_names(len(pairs))
    glb = _timed(spent, "export/glb", lambda: glb_bytes(pairs, camera=result.camera, names=names))
    files = ReconstructionFiles(folder, tuple(motions), *(folder / name for name in NAMES))
    notes: list[str] = []

    def small_files() -> None:
        for path, motion in zip(motions, result.people, strict=True):
            write_motion(path, motion, camera=result.camera)
        _remove_others(folder, len(motions))
        _write_bytes(files.glb, glb)
        notes.extend(_write_bvh(folder / "motion.bvh", result.people[0], body))
        write_cameras_json(files.cameras, result.camera, times=result.people[0].times)

    _timed(spent, "export/motion files", small_files)
    progress("export", 0.1)
    spent |= write_overlay(
        files.overlay, result, body, video=video, max_side=overlay_side,
        progress=lambda share: progress("export", 0.1 + 0.8 * share),
    )  # fmt: skip
    _timed(
        spent,
        "export/report page",
        lambda: write_page(files.report_html, title=video.name, glb=glb,
                           report=page_report(result, body)),
    )  # fmt: skip
    runner.seconds["export"] = sum(spent.values())
    values = report_values(result, body, seconds=runner.seconds | spent, source=video.name)
    more = {"warnings": values["warnings"] + notes, "glb_residual_mm": _residuals_mm(pairs)}
    write_json(files.report_json, values | more)
    progress("export", 1.0)
    return files if files.bvh and files.bvh.exists() else replace(files, bvh=None)


def _residuals_mm(people: Sequence[tuple[Motion, BodyModel]]) -> list[float]:
    """What four influences a vertex and no pose correctives, as glTF has, cost each body."""
    return [1000 * skinning_residual(*pair) for pair in people]


def _write_bvh(path: Path, motion: Motion, body: BodyModel) -> list[str]:
    """Write it, or say why not: a format of even steps cannot hold every video's times."""
    try:
        write_bvh(path, motion, body)
    except UsageError as error:
        path.unlink(missing_ok=True)
        return [f"no BVH written: {error}"]
    return []


def motion_paths(folder: Path, people: int) -> list[Path]:
    """`motion.npz`, then `motion_p2.npz`, `motion_p3.npz` ..."""
    return [folder / ("motion.npz" if i == 0 else f"motion_p{i + 1}.npz") for i in range(people)]


def _remove_others(folder: Path, people: int) -> None:
    """Motions of an earlier run that found more people: `check_targets` has let them be replaced."""
    while (path := motion_paths(folder, people + 1)[people]).exists():
        path.unlink()
        people += 1


def _timed(spent: dict[str, float], name: str, work: Callable[[], Value]) -> Value:
    started = time.perf_counter()
    value = work()
    give_back()
    spent[name] = time.perf_counter() - started
    return value


def _write_bytes(path: Path, data: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
