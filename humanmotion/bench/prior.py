"""`humanmotion bench prior`: the pose prior on held-out motion, beside simpler ones and the published.

Test clips only; nothing is tuned on them. The published DPoser recipe is trained on the same data by
`humanmotion train baselines`; with `--weights` its folder is read, without it those rows are not run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from humanmotion.bench.prior_completion import completion_rows
from humanmotion.bench.prior_denoising import SEED, Denoising
from humanmotion.bench.prior_generation import generation_rows
from humanmotion.bench.prior_ik import ik_rows
from humanmotion.bench.prior_intervals import actions
from humanmotion.bench.prior_methods import (
    as_published,
    fingerprint,
    methods,
    published,
    trained_methods,
)
from humanmotion.bench.prior_noises import NOISES_MM, Noise
from humanmotion.bench.prior_parts import part_rows
from humanmotion.bench.prior_pixels import pixel_rows
from humanmotion.bench.prior_robust import robust_rows, speed_rows
from humanmotion.bench.prior_schedules import schedule_rows
from humanmotion.bench.report import BenchReport, Row
from humanmotion.errors import InputError
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.prior_data import read_poses
from humanmotion.metrics.two_sample import check_classifier


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    clips: int
    val_clips: int
    hidden: int
    """Poses with hidden parts."""
    pictures: int
    samples: int
    schedule_clips: int
    schedule_poses: int
    hands: int
    """Whole bodies with a hidden hand."""


FULL = Sizes(clips=24, val_clips=12, hidden=100, pictures=1000, samples=400, schedule_clips=4,
             schedule_poses=20, hands=20)  # fmt: skip
QUICK = Sizes(clips=3, val_clips=3, hidden=20, pictures=100, samples=40, schedule_clips=1,
              schedule_poses=5, hands=5)  # fmt: skip


def run(data: Path | None, *, quick: bool, weights: Path | None = None) -> BenchReport:
    """Measure the shipped prior on the test splits under `data`.

    Raises InputError without any, MissingExtraError without the `bench` extra.
    """
    check_classifier()
    if data is None:
        raise InputError("bench prior needs motion: give --data a folder with cmu, rocketbox, ...")
    sizes, prior = QUICK if quick else FULL, load_prior()
    splits = {split: read_poses(data, split=split) for split in ("train", "val", "test")}
    test, by = splits["test"], actions(data)
    rivals = {} if weights is None else published(weights)
    task = Denoising.draw(test, clips=sizes.clips, space=prior.space)
    val = Denoising.draw(splits["val"], clips=sizes.val_clips, space=prior.space)
    compared = methods(prior, train=splits["train"])
    compared += [] if weights is None else trained_methods(weights)
    rows = [] if weights is None else [Row("weights", fingerprint(weights), float(len(rivals)), "")]
    for mm in NOISES_MM:
        rows += Noise(task, val, mm, by).rows(compared, rivals, as_published(prior))
    rows += robust_rows(task, prior)
    rows += ik_rows(task, [m for m in compared if m.name == "ours" or m.name.startswith("DP")])
    rows += completion_rows(prior, test, rivals, poses=sizes.hidden)
    rows += pixel_rows(prior, test, compared, poses=sizes.pictures, by=by)
    rows += generation_rows(prior, splits, rivals, count=sizes.samples)
    rows += schedule_rows(
        task, test, rivals, clips=sizes.schedule_clips, poses=sizes.schedule_poses
    )
    if weights is not None:
        rows += part_rows(weights, data, poses=sizes.hands)
    rows += speed_rows(task, prior)
    return BenchReport.create("prior", rows, seeds=[SEED], data=data, quick=quick)
