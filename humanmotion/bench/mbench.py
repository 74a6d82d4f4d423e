"""`humanmotion bench mbench`: whether MBench's metrics and ours say what they should, how fast."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.bench import mbench_mesh, mbench_systems
from humanmotion.bench.generation import shards_in
from humanmotion.bench.generation_material import SPLITS, check_weights, found_weights
from humanmotion.bench.mbench_clips import (
    FAULTS,
    SIZES,
    ragged_clip,
    real_clips,
    smooth_figure,
)
from humanmotion.bench.mbench_faults import LEAST_STEP, self_intersection, wrong_text
from humanmotion.bench.mbench_matrix import Change, listed
from humanmotion.bench.mbench_twin import metrics as twin_metrics
from humanmotion.bench.report import BenchReport, Row
from humanmotion.body import BodyModel
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.evaluator_data import EvaluatorPairs
from humanmotion.jobs.evaluator_scores import Embedded, embed, load_evaluator
from humanmotion.jobs.shards import Shards
from humanmotion.metrics.bootstrap import block_bootstrap
from humanmotion.metrics.mbench_joints import CLEARANCE, DEPTH, JOINT_METRICS, Scene, joint_metrics
from humanmotion.rotations import rotation_about_z

ALL = (*JOINT_METRICS, CLEARANCE, DEPTH)
Clips = Sequence[tuple[Tensor, Scene]]
_SPLITS = ("val", *SPLITS)


def run(data: Path | None = None, *, quick: bool, weights: Path | None = None) -> BenchReport:
    """Agreement with the twin, invariances, sensitivity, speed; with `data` the mesh, priors, systems.

    Faults are put into the test clips of `data/cmu`, or into made figures without `data`. The evaluator
    is that in the folder `weights`, or the shipped one; without either, and in the quick run unless
    `data` holds shards, its rows read `not run`. Systems are compared where `data` holds MBench's
    prompts. Quick means fewer clips.
    """
    check_weights(weights)
    clips = _clips(data, count=8 if quick else 40)
    evaluator = found_weights(weights, "evaluator")
    shards = _shards(data, quick=quick)
    real = _embedded(shards, evaluator)
    found = [
        _sensitivity(clips, real=data is not None),
        _mesh_sensitivity(data, quick=quick),
        wrong_text(real[0][1] if real else None),
    ]
    changes = [change for _, each in found for change in each]
    rows = [
        *_twin_rows(60 if quick else 300),
        *_invariance_rows(2 if quick else 8),
        *(row for own, _ in found for row in own),
        *(change.row for change in changes),
        *(_real_rows(clips) if data is not None else ()),
        *_speed_rows(450),
        *(mbench_mesh.rows(data, quick=quick, real=real) if data is not None else ()),
        *(
            mbench_systems.rows(data, shards, quick=quick, weights=weights)
            if data is not None
            else ()
        ),
    ]
    return BenchReport.create(
        "mbench", rows, seeds=(0,), data=data, quick=quick, listed=listed(changes)
    )


def _mesh_sensitivity(data: Path | None, *, quick: bool) -> tuple[list[Row], list[Change]]:
    body = BodyModel.load()
    made = [walking_motion(body, seconds=2.0).resample(mbench_mesh.FPS)]
    clips = made if data is None else mbench_mesh.val_clips(data, 2 if quick else 12)
    return self_intersection(clips, body, stride=100 if quick else 50)


def _shards(data: Path | None, *, quick: bool) -> Shards | None:
    """Those that `data` holds, else what is built of its sets; for that the quick run does not wait."""
    if data is None or (quick and not (data / "features.safetensors").exists()):
        return None
    with tempfile.TemporaryDirectory() as work:
        return Shards.read(shards_in(data, Path(work)))


def _embedded(shards: Shards | None, evaluator: Path | None) -> list[tuple[str, Embedded]]:
    """What the evaluator makes of real clips by split, `val` first; none where it is not to be had."""
    if shards is None or evaluator is None:
        return []
    network = load_evaluator(evaluator)
    return [(name, embed(network, EvaluatorPairs.of(shards, split=name))) for name in _SPLITS]


def _clips(data: Path | None, *, count: int) -> Clips:
    if data is not None:
        return real_clips(data, count=count)
    return [(smooth_figure(20.0, seed=i), Scene(floor=0.0)) for i in range(count)]


def _values(joints: Tensor, scene: Scene) -> dict[str, float | None]:
    return {name: found.value for name, found in joint_metrics(joints, scene=scene).items()}


def _twin_rows(count: int) -> list[Row]:
    worst, disagree = 0.0, 0
    for number in range(count):
        joints = ragged_clip(number)
        found = joint_metrics(joints, mode="released")
        expected = twin_metrics(joints.tolist(), joints[:, (10, 11), 2].tolist())
        for name in JOINT_METRICS:
            ours, slow = found[name].value, expected[name]
            if ours is None or slow is None:
                disagree += (ours is None) != (slow is None)
            else:
                worst = max(worst, abs(ours - slow))
    what = (
        f"released mode from the definitions frame by frame, {count} random clips of 1 to 89 frames"
    )
    return [
        Row("twin", f"{what}: largest difference", worst, "", 1e-6, "<="),
        Row(
            "twin-none", f"{what}: values that one has and the other has not", disagree, "", 0, "<="
        ),
    ]


def _invariance_rows(count: int) -> list[Row]:
    turned, rates = 0.0, dict.fromkeys(ALL, 0.0)
    tilted = dict.fromkeys(ALL, 0.0)
    for seed in range(count):
        joints = smooth_figure(20.0, seed=seed)
        scene = Scene(floor=0.0)
        turn = rotation_about_z(joints.new_tensor(0.7))
        tilt = joints.new_tensor(((1.0, 0, 0), (0, 0.8, -0.6), (0, 0.6, 0.8)))
        here = _values(joints, scene)
        moved = joints @ turn.mT + joints.new_tensor((3.0, -8.0, 0.0))
        turned = max(turned, *_shares(here, _values(moved, scene)).values())
        for name, share in _shares(here, _values(joints @ tilt.mT, scene)).items():
            tilted[name] = max(tilted[name], share)
        at = [_values(smooth_figure(f, seed=seed), Scene(fps=f, floor=0.0)) for f in (30, 60, 120)]
        for a, b in ((0, 1), (0, 2), (1, 2)):
            for name, share in _shares(at[a], at[b]).items():
                rates[name] = max(rates[name], share)
    return [
        Row("yaw-shift", f"turned by 40 degrees and moved along the floor, {count} figures: largest "
            "relative change of any metric", turned, "", 1e-6, "<="),
        *(Row(f"rate-{name}", f"{name} at 30, 60 and 120 fps, motion below 5 Hz: largest "
              "relative difference", share, "", 0.05 if name == "Jitter_Degree" else 0.02, "<=")
          for name, share in rates.items()),
        Row("tilt", "tilted by 37 degrees: relative change of Foot_Sliding, which must change",
            tilted["Foot_Sliding"], "", 0.1, ">="),
    ]  # fmt: skip


def _shares(a: dict[str, float | None], b: dict[str, float | None]) -> dict[str, float]:
    """Differences relative to the larger of two values."""
    out = {}
    for name in ALL:
        x, y = a[name] or 0.0, b[name] or 0.0
        out[name] = abs(x - y) / max(abs(x), abs(y), 1e-6)
    return out


def _means(clips: Clips) -> dict[str, float]:
    found = [_values(joints, scene) for joints, scene in clips]
    out = {}
    for name in ALL:
        values = [v for one in found if (v := one[name]) is not None]
        out[name] = sum(values) / max(len(values), 1)
    return out


def _sensitivity(clips: Clips, *, real: bool) -> tuple[list[Row], list[Change]]:
    """For each fault, the least step of its own metric; then every metric before and after 2 cm."""
    kind = f"{len(clips)} {'real' if real else 'made'} clips"
    clean = _means(clips)
    own: list[Row] = []
    changes: list[Change] = []
    pairs = {(fault.name, fault.metric) for fault in FAULTS}
    shown: set[str] = set()
    for fault in FAULTS:
        at = [clean, *(_means([(fault.put(j, size), s) for j, s in clips]) for size in SIZES)]
        steps = [fault.sign * (b[fault.metric] - a[fault.metric]) for a, b in pairwise(at)]
        own.append(Row(
            f"sensitivity-{fault.name}-{fault.metric}",
            f"{fault.name}, {kind}: least step of {fault.metric} the right way over mean displacements "
            f"of 0, {', '.join(f'{100 * s:g}' for s in SIZES)} cm", min(steps), "", LEAST_STEP, ">=",
        ))  # fmt: skip
        for name in ALL if fault.name not in shown else ():
            changes.append(Change(
                fault.name, name, clean[name], at[3][name], (fault.name, name) in pairs, "2 cm",
            ))  # fmt: skip
        shown.add(fault.name)
    return own, changes


def _real_rows(clips: Clips) -> list[Row]:
    """Real motion's own values: no bound below them is worth holding."""
    rows = []
    found = [_values(joints, scene) for joints, scene in clips]
    for name in ALL:
        values = torch.tensor([v for one in found if (v := one[name]) is not None])
        low, high = block_bootstrap([values], block=1)
        what = f"real motion, {len(values)} clips of 5 s: {name}, {low:.4g} to {high:.4g} (95 %)"
        rows.append(Row(f"real-{name}", what, float(values.double().mean()), ""))
    return rows


def _speed_rows(count: int) -> list[Row]:
    clips = [smooth_figure(20.0, seconds=5.0, seed=i % 16) for i in range(count)]
    wall, own = time.perf_counter(), time.process_time()
    for joints in clips:
        joint_metrics(joints)
    wall, own = time.perf_counter() - wall, time.process_time() - own
    what = f"all joint metrics of {count} clips of 5 s at 20 fps, floor estimated"
    return [
        Row("speed", what, wall, "s", 10.0, "<="),
        Row("speed-cpu", f"{what}: processor time alone", own, "s"),
    ]
