"""Rows of `bench attention`: every id once, bars as issue 5 sets them, definitions checked."""

from __future__ import annotations

import itertools

import pytest
import torch

from humanmotion.attention import Blocks, TokenLayout, VideoGrid
from humanmotion.bench.attention_exact import exactness_rows, memory_rows
from humanmotion.bench.attention_quality import (
    _predicted,
    best_recall,
    reuse_rows,
    smooth_video,
    trained_rows,
)
from humanmotion.bench.attention_speed import (
    BARS,
    SPARSITIES,
    Setting,
    break_even_rows,
    gpu_rows,
    never_slower_rows,
    overhead_rows,
    speed_rows,
    whole_rows,
)

SMALL = Setting(1024, 64, torch.float32)


def test_speed_rows_carry_the_bars_and_a_baseline_of_the_same_run():
    setting = Setting(4096, 64, torch.float32)  # shorter ones go dense
    rows = speed_rows(setting, turns=1, bars=BARS["float32", 64])
    assert [row.bar for row in rows] == [1.3, 3.5, 6.5]
    assert [row.id.rsplit("_", 1)[1] for row in rows] == [f"{s:g}" for s in SPARSITIES]
    for row, sparsity in zip(rows, SPARSITIES, strict=True):
        assert row.value > 0 and row.baseline.value > 0 and row.direction == ">="
        dropped = float(row.what.split("dense: ")[1].split("%")[0]) / 100
        assert dropped == pytest.approx(sparsity, abs=0.1)


def test_the_layout_holds_the_tokens_it_says():
    for tokens in (512, 1024, 8192, 32768):
        setting = Setting(tokens, 64, torch.bfloat16)
        assert setting.layout.tokens == tokens
    assert Setting(1024, 64, torch.bfloat16).tensors()[0].dtype == torch.bfloat16


def test_rows_about_time_have_ids_of_their_own():
    rows = whole_rows(SMALL, turns=1) + overhead_rows(SMALL, turns=1)
    rows += never_slower_rows(lengths=(1024,), turns=1)
    rows += break_even_rows(lengths=(512, 1024), turns=1) + gpu_rows(turns=1) + trained_rows()
    assert len({row.id for row in rows}) == len(rows)
    values = {row.id: row for row in rows}
    assert values["never_slower_float32"].bar == 0.95
    assert values["predicting_float32_d64_n1024"].bar == 0.005


def test_what_waits_is_a_row_that_neither_holds_nor_fails():
    rows = trained_rows() + ([] if torch.cuda.is_available() else gpu_rows(turns=1))
    assert all(row.to_dict()["pass"] is None and row.bar is not None for row in rows)


def test_exactness_holds_on_some_problems():
    found = {row.id: row for row in exactness_rows(configurations=4)}
    assert found.pop("exact_float32_reference").value < 4e-6
    assert [row.passed for row in found.values()] == [True] * 4


def test_memory_counts_the_result_at_least():
    whole, text = memory_rows(Setting(4096, 64, torch.float32))
    assert whole.value is None or 0.2 < whole.value < 4
    # Copies in the order of places, and of blocks filled up: more, and no bar.
    assert text.value is None or whole.value < text.value < 8
    assert text.id == "memory_text_float32_d64_n4096" and text.passed is None


def test_smooth_video_is_smooth_and_as_strong_as_said():
    layout = TokenLayout.of(VideoGrid(16, 6, 6))
    q, k, v = smooth_video(layout, seed=0)
    assert q.shape == k.shape == v.shape == (1, 8, 576, 64)
    assert float(q.std()) == pytest.approx(1.6, rel=0.05)
    grid = v.unflatten(2, (16, 6, 6))
    assert float((grid[:, :, 1:] - grid[:, :, :-1]).square().mean() / (2 * v.var())) < 0.3


def test_the_best_choice_is_not_worse_and_the_tail_helps():
    recall, best, error, tail = _predicted(8, (2, 4, 8), keep=0.25, seed=0)
    assert 0.25 < recall <= best + 1e-3 <= 1.001 and 0 < tail < error


def test_best_recall_is_the_greatest_over_all_choices():
    generator = torch.Generator().manual_seed(0)
    weights = (3 * torch.randn(1, 2, 16, 32, generator=generator)).softmax(-1)
    found = best_recall(weights, Blocks.cut((32,), 8), size=8, count=2)
    shares = weights.unflatten(2, (2, 8)).mean(3).unflatten(-1, (4, 8)).sum(-1)
    choices = [shares[..., list(pair)].sum(-1) for pair in itertools.combinations(range(4), 2)]
    assert found == pytest.approx(float(torch.stack(choices).amax(0).mean()), abs=1e-6)


def test_reuse_reports_saved_products_ceiling_and_clock_apart():
    rows = {row.id: row.value for row in reuse_rows(side=6, turns=1)}
    saved = [rows[f"saved_snap_{theta:g}"] for theta in (0.1, 0.2, 0.3, 0.5)]
    assert saved == sorted(saved) and 0 < saved[0] < saved[-1] < 1
    assert rows["ceiling_snap_0.5"] == pytest.approx(2 / (2 - saved[-1]))
    assert rows["error_snap_0.1"] < rows["error_snap_0.5"]
    assert all(rows[f"clock_{name}_0.2"] > 0 for name in ("snap", "merge"))
