"""`humanmotion bench body`: our body against the smplx library, on the same file and threads."""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanmotion.bench.report import Baseline, BenchReport, Row
from humanmotion.body import BodyModel
from humanmotion.body.model import DEFAULT_BODY
from humanmotion.errors import MissingExtraError, UsageError
from humanmotion.files import asset
from humanmotion.motion import POSE_FIELDS
from humanmotion.rotations import rotvec_to_matrix

SEED = 0
MESH_BATCH, JOINT_BATCH = 64, 4096
AGREEMENT_BATCH = 40
MAX_APART_METRES, MIN_MESH_RATIO, MIN_JOINT_RATIO = 1e-5, 2.0, 30.0


def run(data: Path | None = None, *, quick: bool) -> BenchReport:
    """Agreement with smplx and speed ratios, of the default body.

    With `data`, each SMPL-X file `data/body/*.npz` is measured as well. Quick means 40 poses
    instead of 200, and 5 timed turns instead of 21. Raises MissingExtraError without smplx,
    UsageError when `data` is no folder.
    """
    generator = torch.Generator().manual_seed(SEED)
    rows: list[Row] = []
    with torch.no_grad():
        for path in _body_files(data):
            body = BodyModel.load(path)
            prefix = "" if path == asset(DEFAULT_BODY) else f"{path.stem}_"
            rows += _agreement(body, path, generator, poses=40 if quick else 200, prefix=prefix)
            rows += _speed(body, path, generator, turns=5 if quick else 21, prefix=prefix)
        rows.append(_load_time(turns=3 if quick else 9))
    return BenchReport.create("body", rows, seeds=(SEED,), data=data, quick=quick)


def random_parameters(generator: torch.Generator, batch: int) -> dict[str, Tensor]:
    """Parameters of `batch` wild bodies: any facing, bent joints, unusual shapes, strong faces."""

    def normal(width: int, scale: float) -> Tensor:
        return torch.randn(batch, width, generator=generator) * scale

    poses = {name: normal(3 * joints, 0.4) for name, joints in POSE_FIELDS.items()}
    poses["global_orient"] = normal(3, 1.5)
    return poses | {
        "betas": normal(10, 1.5),
        "expression": normal(10, 1.5),
        "transl": normal(3, 2.0),
    }


def _body_files(data: Path | None) -> list[Path]:
    if data is not None and not data.is_dir():
        raise UsageError(f"--data {data} is not a folder; bodies are looked for in its body/*.npz")
    own = [] if data is None else sorted((data / "body").glob("*.npz"))
    return [asset(DEFAULT_BODY), *(p for p in own if BodyModel.load(p).kind == "SMPL-X")]


def _open_smplx(path: Path, batch: int) -> Any:
    try:
        import smplx
    except ImportError as error:
        raise MissingExtraError("smplx", "smplx") from error
    # It prints a remark about files with ten components; stdout is for results.
    with contextlib.redirect_stdout(io.StringIO()):
        return smplx.SMPLX(
            str(path), ext="npz", use_pca=False, flat_hand_mean=True, batch_size=batch
        )


def _agreement(
    body: BodyModel, path: Path, generator: torch.Generator, *, poses: int, prefix: str
) -> list[Row]:
    peer = _open_smplx(path, AGREEMENT_BATCH)
    vertices = joints = 0.0
    for _ in range(poses // AGREEMENT_BATCH):
        given = random_parameters(generator, AGREEMENT_BATCH)
        ours, theirs = body(**given), peer(**given)
        vertices = max(vertices, _apart(ours.vertices, theirs.vertices))
        joints = max(joints, _apart(ours.joints, theirs.joints[:, : len(body.parents)]))
    what = f"from smplx's, the farthest over {poses} random poses, shapes and expressions"
    return [
        Row(f"{prefix}vertices_apart", f"vertices {what}", vertices, "m", MAX_APART_METRES, "<="),
        Row(f"{prefix}joints_apart", f"joints {what}", joints, "m"),
    ]


def _apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm(dim=-1).max())


def _speed(
    body: BodyModel, path: Path, generator: torch.Generator, *, turns: int, prefix: str
) -> list[Row]:
    peer = _open_smplx(path, MESH_BATCH)
    few, many = (random_parameters(generator, n) for n in (MESH_BATCH, JOINT_BATCH))
    rotvec = torch.cat([many[name] for name in POSE_FIELDS], -1).reshape(JOINT_BATCH, -1, 3)
    shape = {name: many[name] for name in ("betas", "expression", "transl")}
    # All start from rotation vectors and a body of their own for each pose, as smplx does.
    theirs, mesh, joints = _interleaved_ms(
        [
            lambda: peer(**few),
            lambda: body(**few),
            lambda: body.joints(rotvec_to_matrix(rotvec), **shape),
        ],
        turns,
    )
    theirs, mesh, joints = theirs / MESH_BATCH, mesh / MESH_BATCH, joints / JOINT_BATCH
    baseline = Baseline(f"smplx forward, batch {MESH_BATCH}, ms per pose", theirs)
    return [
        Row(
            f"{prefix}mesh_speedup",
            f"mesh forward, batch {MESH_BATCH}: times faster than smplx ({mesh:.3g} ms per pose)",
            theirs / mesh, "x", MIN_MESH_RATIO, ">=", baseline,
        ),
        Row(
            f"{prefix}joints_speedup",
            f"joints only, batch {JOINT_BATCH}: times faster per pose than smplx's forward "
            f"({1000 * joints:.3g} us per pose)",
            theirs / joints, "x", MIN_JOINT_RATIO, ">=", baseline,
        ),
    ]  # fmt: skip


def _interleaved_ms(calls: list[Callable[[], object]], turns: int) -> list[float]:
    """Median milliseconds of each call; taken in turns, so that a busy machine slows all alike."""
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(turns + 1):
        for call, found in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            if turn:  # the first turn warms up
                found.append(1000 * (time.perf_counter() - start))
    return [statistics.median(found) for found in times]


def _load_time(*, turns: int) -> Row:
    (loaded,) = _interleaved_ms([BodyModel.load], turns)
    return Row("load", "reading the default body, file cache warm", loaded, "ms")
