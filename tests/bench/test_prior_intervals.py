"""Intervals of paired comparisons, the actions they are drawn by, and the windows' clips."""

from __future__ import annotations

import json

import pytest
import torch

from humanmotion.bench.prior_denoising import FRAMES, JOINTS, Denoising
from humanmotion.bench.prior_intervals import actions, difference, grouped, ratio
from humanmotion.jobs.prior_data import PoseSet
from humanmotion.prior.space import SIZE, TOKENS, PoseSpace

GROUPS = [f"action {i // 3}" for i in range(60)]


def errors(seed: int = 0) -> torch.Tensor:
    return 20 + 5 * torch.rand(60, generator=torch.Generator().manual_seed(seed))


def test_a_fixed_share_of_every_error_is_sure_however_the_errors_vary() -> None:
    found = ratio(0.8 * errors(), errors(), GROUPS)
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.8, 0.8))
    same = difference(errors() + 3, errors(), GROUPS)
    assert (same.value, same.low, same.high) == pytest.approx((3.0, 3.0, 3.0), abs=1e-5)


def test_the_figure_lies_within_and_swapping_turns_the_interval_round() -> None:
    one, other = errors(), errors(1)
    there, back = difference(one, other, GROUPS), difference(other, one, GROUPS)
    assert there.low < there.value < there.high
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=1e-6)
    there, back = ratio(one, other, GROUPS), ratio(other, one, GROUPS)
    assert (back.low, back.high) == pytest.approx((1 / there.high, 1 / there.low), rel=1e-3)


def test_rows_hold_both_ends() -> None:
    found = difference(errors(), errors(1), GROUPS)
    low, high = found.rows("a/b", "error less that of c", "mm")
    assert (low.id, low.value, high.id, high.value) == (
        "a/b/low",
        found.low,
        "a/b/high",
        found.high,
    )
    assert low.bar is None and low.what.startswith("error less that of c, 95 % interval")


def test_clips_of_one_action_are_one_group(tmp_path) -> None:
    for name, rows in {
        "cmu": [{"id": "1", "text": "walk"}],
        "rocketbox": [{"id": "f_wave", "action": "wave"}, {"id": "m_wave", "action": "wave"}],
    }.items():
        (tmp_path / name).mkdir()
        lines = "\n".join(json.dumps(r) for r in rows)
        (tmp_path / name / "index.jsonl").write_text(lines, encoding="utf-8")
    clips = ("rocketbox/m_wave", "cmu/1", "rocketbox/f_wave", "unknown/2")
    found = grouped(clips, actions(tmp_path))
    assert found == ("rocketbox/wave", "cmu/1", "rocketbox/wave", "unknown/2")


def test_every_window_names_its_clip() -> None:
    """Each clip is one pose held still, so a window shows where it is from."""
    lengths = (2 * FRAMES + 7, FRAMES - 1, FRAMES, 3 * FRAMES)
    held = 0.4 * torch.randn(4, 54, 3, generator=torch.Generator().manual_seed(3))
    clip = torch.arange(4).repeat_interleave(torch.tensor(lengths))
    poses = PoseSet(held[clip], torch.zeros(len(clip), 10),
                    torch.ones(len(clip), TOKENS, dtype=torch.bool), clip,
                    ("a/0", "a/1", "a/2", "a/3"))  # fmt: skip
    space = PoseSpace(torch.eye(3).expand(54, 3, 3), torch.ones(SIZE))
    task = Denoising.draw(poses, clips=5, space=space)
    root = torch.eye(3).expand(1, 1, 3, 3)
    assert len(task.groups) == len(task.joints) == 5 and len(set(task.groups)) > 1
    for joints, name in zip(task.joints, task.groups, strict=True):
        of = poses[(clip == int(name[2:])).nonzero()[:1, 0]].rotations
        still = task.body.joints(torch.cat((root, of), 1))[:, : len(JOINTS)]
        assert torch.allclose(joints, still.expand_as(joints), atol=1e-5)
