"""Levels of quality: what a draft leaves out, and what another level redoes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from humanmotion.errors import UsageError
from humanmotion.files import read_json
from humanmotion.io.npz import read_motion
from humanmotion.io.video import probe
from humanmotion.jobs.reconstruct import reconstruct
from humanmotion.recovery.quality import DRAFT, QUALITIES


def test_a_draft_redoes_the_poses_but_not_the_detection(
    done, tmp_path, no_detector, monkeypatch
) -> None:
    monkeypatch.setitem(QUALITIES, "draft", replace(DRAFT, overlay_side=160))
    folder = done.copy(tmp_path / "out", stages_only=True)
    files = reconstruct(done.video, output=folder, quality="draft")
    seconds = read_json(files.report_json)["seconds"]
    assert [seconds[s] for s in ("people", "shots", "camera")] == [0.0] * 3
    assert seconds["pose"] > 0 and seconds["world"] > 0
    rough = read_motion(files.motions[0])
    usual = read_motion(done.files.motions[0])
    assert not rough.confidence[:, 25:].any() and not rough.left_hand_pose.any()
    # Rough, but of the same movement.
    turn = (rough.body_pose - usual.body_pose).abs()
    assert 0 < float(turn.median()) < 0.1
    assert max(probe(files.overlay).width, probe(files.overlay).height) == 160


def test_a_quality_that_is_not_there_is_told(tmp_path) -> None:
    with pytest.raises(
        UsageError, match="quality 'rough' given; it must be one of draft, standard"
    ):
        reconstruct("none.mp4", output=tmp_path, quality="rough")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_levels_do_more_and_more() -> None:
    draft, standard, best = (QUALITIES[n] for n in ("draft", "standard", "best"))
    for field in ("steps_alone", "steps_before_prior", "steps_from_guess", "prior_steps"):
        assert 1 <= getattr(draft, field) < getattr(standard, field) <= getattr(best, field)
    assert draft.overlay_side < standard.overlay_side
