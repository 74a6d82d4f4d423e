"""Rows of bench multishot from made-up errors: bars are held and missed by the right figures."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from humanmotion.bench.ms_reconstruction import HUMANMM, NAIVE, OURS, Errors
from humanmotion.bench.multishot import PUBLISHED, WAYS, _against, _bars, _growth, _way_rows


def _errors(yaw: float = 4.0, *, cuts: int = 1, w: float = 100.0) -> Errors:
    return Errors(
        yaw=torch.full((cuts,), yaw), sigma=torch.full((cuts,), 10.0), roe_first=yaw + 3, w_all=w,
        wa_all=w / 2, pa=25.0, rte=0.1, sliding=2.0, true_sliding=1.0, floor=9.0, jitter=90.0,
        true_jitter=100.0,
    )  # fmt: skip


@pytest.fixture
def run():
    found = {}
    for clip in ("a", "b", "c"):
        for shots in (2, 4, 6):
            for way in WAYS:
                far = way in (NAIVE, PUBLISHED)
                found[way, shots, clip, 0] = _errors(60.0 if far else 4.0, cuts=shots - 1,
                                                     w=400.0 if far else 100.0)  # fmt: skip
    return found


def _by_id(rows):
    return {row.id: row for row in rows}


def test_good_errors_hold_every_bar(run) -> None:
    rows = _way_rows(run) + _bars(run) + _growth(run)
    assert all(row.passed is not False for row in rows)
    by = _by_id(rows)
    assert by["yaw"].value == pytest.approx(4)
    assert by["w_over_naive"].value == pytest.approx(0.25)
    assert by["within_sigma"].value == pytest.approx(100)
    assert by[f"{NAIVE}/yaw"].value == pytest.approx(60)


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"yaw": 40.0}, "yaw"),
        ({"w_all": 300.0}, "w_over_naive"),
        ({"sliding": 9.0}, "sliding"),
        ({"floor": 30.0}, "floor"),
        ({"jitter": 50.0}, "jitter_low"),
        ({"jitter": 150.0}, "jitter_high"),
        ({"w_all": math.nan}, "w_over_naive"),
    ],
)
def test_bad_errors_miss_theirs(run, change, missed: str) -> None:
    def spoilt(errors: Errors) -> Errors:
        far = {k: torch.full_like(errors.yaw, v) if k == "yaw" else v for k, v in change.items()}
        return replace(errors, **far)

    bad = {k: spoilt(e) if k[0] == OURS else e for k, e in run.items()}
    assert _by_id(_bars(bad))[missed].passed is False


def test_growth_is_that_of_clips_that_hold_all_numbers_of_shots(run) -> None:
    # A short clip that is only ever cut once must not make two shots look hard.
    run[OURS, 2, "short", 0] = _errors(170.0)
    by = _by_id(_growth(run))
    assert by["2_shots/roe_first"].value == pytest.approx(7)
    assert by["growth/roe_first"].value == pytest.approx(0)
    worse = {k: replace(e, pa=30.0) if k[:2] == (OURS, 4) else e for k, e in run.items()}
    grown = _by_id(_growth(worse))["growth/pa"]
    assert grown.value == pytest.approx(20) and grown.passed is False


def test_a_gain_that_chance_could_make_is_no_gain(run) -> None:
    assert all(row.passed for row in _against(run, PUBLISHED))
    assert all(row.bar is None for row in _against(run, "Kabsch on 3D"))
    for i, key in enumerate(k for k in list(run) if k[0] == PUBLISHED):
        run[key] = _errors(4.0 + (-1) ** i, cuts=key[1] - 1, w=100.0 + (-1) ** i)
    assert not all(row.passed for row in _against(run, PUBLISHED))


def test_the_published_modules_are_compared_with_where_they_were_run(run) -> None:
    assert all(r.value is None and r.passed is None for r in _against(run, HUMANMM))
    run |= {(HUMANMM, *k[1:]): _errors(50.0, cuts=k[1] - 1, w=300.0) for k in run if k[0] == OURS}
    assert all(row.passed for row in _against(run, HUMANMM))
    assert _by_id(_way_rows(run))[f"{HUMANMM}/yaw"].value == pytest.approx(50)


def test_of_one_clip_no_interval_is_said(run) -> None:
    one = {k: e for k, e in run.items() if k[2] == "a"}
    assert all(math.isnan(row.value) and not row.passed for row in _against(one, PUBLISHED))


def test_sequences_without_standing_feet_are_left_out_not_perfect(run) -> None:
    off = {k: replace(e, sliding=None, floor=None, true_sliding=None) if k[2] == "a" else e
           for k, e in run.items()}  # fmt: skip
    by = _by_id(_bars(off))
    assert by["floor"].value == pytest.approx(9) and by["sliding"].value == pytest.approx(2)
    none = {k: replace(e, sliding=None, floor=None, true_sliding=None) for k, e in run.items()}
    assert _by_id(_bars(none))["floor"].passed is False
