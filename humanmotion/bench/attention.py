"""`humanmotion bench attention`: sparse against dense attention, speed, exactness and what is lost."""

from __future__ import annotations

import torch

from humanmotion.bench.attention_exact import exactness_rows, memory_rows
from humanmotion.bench.attention_quality import predictor_rows, reuse_rows, trained_rows
from humanmotion.bench.attention_speed import (
    BARS,
    LENGTHS,
    Setting,
    break_even_rows,
    gpu_rows,
    never_slower_rows,
    overhead_rows,
    speed_rows,
    whole_rows,
)
from humanmotion.bench.report import BenchReport, Row

SEEDS = (0, 1, 2)


def run(*, quick: bool) -> BenchReport:
    """Everything against dense attention in the same run; it needs no data.

    The bars of the speed hold for two CPU threads. Quick means fewer turns, lengths, random problems
    and seeds; the sizes that the bars speak of stay.
    """
    turns = 3 if quick else 9
    rows: list[Row] = []
    for (name, size), bars in BARS.items():
        setting = Setting(8192, size, getattr(torch, name))
        rows += speed_rows(setting, turns=turns, bars=bars)
        if size == 64:
            rows += whole_rows(setting, turns=turns) if not quick else []
            rows += overhead_rows(setting, turns=turns)
            rows += memory_rows(setting)
    lengths = (1024, 1536, 2048) if quick else LENGTHS
    rows += never_slower_rows(lengths=tuple(n for n in lengths if n >= 1024), turns=turns)
    rows += break_even_rows(lengths=lengths, turns=turns)
    if not quick:
        for name in ("float32", "bfloat16"):
            rows += speed_rows(Setting(16384, 64, getattr(torch, name)), turns=turns, bars=None)
    rows += exactness_rows(configurations=20 if quick else 200)
    rows += predictor_rows(side=8 if quick else 16, seeds=1 if quick else len(SEEDS))
    rows += reuse_rows(side=8 if quick else 16, turns=turns)
    rows += gpu_rows(turns=turns)
    rows += trained_rows()
    return BenchReport.create(
        "attention", rows, seeds=SEEDS[:1] if quick else SEEDS, data=None, quick=quick
    )
