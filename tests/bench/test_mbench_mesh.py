"""The rows of the mesh, the priors and the evaluator, on little."""

from __future__ import annotations

import pytest
import torch

from humanmotion.bench.mbench_mesh import (
    FAULTS,
    auc,
    inside_rows,
    penetration_rows,
    pose_rows,
    retrieval_rows,
)
from humanmotion.body import BodyModel
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.evaluator_scores import Embedded
from humanmotion.metrics.mbench_names import DPOSERX, POSE_FIELD


@pytest.mark.parametrize("seed", range(3))
def test_auc_is_that_of_all_pairs(seed):
    generator = torch.Generator().manual_seed(seed)
    # Few values, so that many are equal.
    a, b = (
        torch.randint(0, high, (n,), generator=generator).float() for high, n in ((5, 40), (9, 70))
    )
    slow = ((b[:, None] > a).float() + 0.5 * (b[:, None] == a).float()).mean()
    assert auc(a, b) == pytest.approx(float(slow), abs=1e-6)
    assert auc(a, a) == pytest.approx(0.5)
    assert auc(a, a + 9) == 1.0
    assert auc(a + 9, a) == 0.0


def test_rows_of_penetration_hold_their_bars(monkeypatch):
    body = BodyModel.load()
    walk = walking_motion(body, seconds=1.0).resample(20.0)
    found = {row.id: row for row in penetration_rows([walk, walk[5:]], body)}
    for name in ("rest", "rise"):
        assert found[f"penetration/{name}"].passed is True
    assert found["penetration/arm"].value > 0.4
    assert found["penetration/frame"].value > 0
    assert found["penetration/real"].value >= 0


def test_rows_of_what_is_inside_hold_their_bars():
    body = BodyModel.load()
    walk = walking_motion(body, seconds=1.0).resample(20.0)
    found = {row.id: row for row in inside_rows([walk], body)}
    for name in ("rest", "rise"):
        assert found[f"inside/{name}"].passed is True
    assert found["inside/frame"].value > 0 and found["inside/real"].value >= 0


def test_rows_of_real_clips_that_the_evaluator_knows_and_of_none():
    generator = torch.Generator().manual_seed(0)
    text, motion = (torch.nn.functional.normalize(x, dim=-1)
                    for x in torch.randn(2, 60, 16, generator=generator))  # fmt: skip
    alone = torch.eye(60, dtype=torch.bool)
    known, unknown = Embedded(text, text, alone), Embedded(text, motion, alone)
    rows = {r.id: r for r in retrieval_rows([("seen", known), ("test", unknown)])}
    assert rows["real/MCC-retrieval/seen"].value == 1.0 and rows["real/MCC-retrieval/seen"].passed
    assert rows["real/MCC-retrieval/test"].value == pytest.approx(0.1, abs=0.07)
    assert rows["real/MCC-retrieval/test"].passed is False
    assert rows["real/MG-retrieval/seen"].value == 1.0
    assert rows["real/MG-retrieval/test"].value < 0.2
    missing = retrieval_rows(())
    assert missing and all(row.value is None for row in missing)


def test_rows_of_poses_tell_real_from_spoilt_and_more_so_the_worse(data):
    found = {row.id: row.value for row in pose_rows(data, count=200)}
    for name in (POSE_FIELD, DPOSERX):
        few, some, many = (found[f"pose/{name}/{fault}/AUC"] for fault in list(FAULTS)[:3])
        assert 0.5 < few < some < many
        assert many > 0.9
