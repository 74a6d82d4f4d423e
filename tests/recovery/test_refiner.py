"""The refiner: the world may be turned, shots follow each other, other frame rates, other weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanmotion.diffusion.time_mixing import TimeSizes
from humanmotion.errors import FileFormatError
from humanmotion.jobs.refiner_weights import load_refiner
from humanmotion.recovery.integrator import Placed
from humanmotion.recovery.motion_refining import WINDOW, refine_person
from humanmotion.recovery.refiner import (
    INPUTS,
    Draft,
    Refiner,
    bare_joints,
    refine_window,
    show_draft,
)
from humanmotion.rotations import geodesic_distance, rotation_about_z

FPS = 30.0
ALL = frozenset({"pose", "contact", "velocity"})
TINY = TimeSizes(width=32, hidden=32, blocks=2, heads=2, dropout=0.0)


@pytest.fixture(scope="module")
def network() -> Refiner:
    torch.manual_seed(0)
    made = Refiner(TINY)
    with torch.no_grad():
        # Something to say: as it starts, it leaves every draft as it is.
        made.leave.weight.mul_(10)
    return made.eval()


@pytest.fixture(scope="module")
def placed(walk) -> Placed:
    rotations, transl = walk[0][:150], walk[1][:150]
    centre = torch.tensor((4.0, -3.0, 1.5))
    return Placed(rotations, torch.zeros(10), transl - centre, torch.ones(150), torch.ones(150, 2))


def _refined(network, person, body, *, times=None, shot_id=None):
    frames = len(person.rotations)
    times = torch.arange(frames).double() / FPS if times is None else times
    shot_id = (torch.arange(frames) >= 70).long() if shot_id is None else shot_id
    return refine_person(
        network, person, body=body, confidence=torch.full((frames, 22), 0.8), times=times,
        shot_id=shot_id, still=torch.ones(frames, dtype=torch.bool), parts=ALL,
    )  # fmt: skip


@pytest.mark.parametrize("lead", [(1, 1), (1, 40), (3, 7)])
def test_any_batch_and_length(network, body, lead) -> None:
    rotations = torch.eye(3).expand(*lead, 22, 3, 3)
    draft = Draft(rotations, bare_joints(rotations, body), torch.ones(*lead, 22),
                  torch.ones(*lead, 3), torch.ones(lead, dtype=torch.bool),
                  torch.zeros(lead, dtype=torch.long))  # fmt: skip
    assert show_draft(draft, fps=FPS).shape == (*lead, INPUTS)
    found = refine_window(network, draft, fps=FPS)
    assert found.rotations.shape == rotations.shape
    assert found.contact.shape == (*lead, 2) and found.velocity.shape == (*lead, 3)


def test_a_turned_world_has_a_turned_answer(network, placed, body) -> None:
    turn = rotation_about_z(torch.tensor(2.1))
    rotations = placed.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    turned = replace(placed, rotations=rotations, offset=placed.offset @ turn.T)
    a, b = (_refined(network, p, body) for p in (placed, turned))
    assert float(geodesic_distance(a.rotations[:, 0], placed.rotations[:, 0]).max()) > 0.01
    torch.testing.assert_close(turn @ a.rotations[:, 0], b.rotations[:, 0], atol=1e-4, rtol=0)
    torch.testing.assert_close(a.rotations[:, 1:], b.rotations[:, 1:], atol=1e-4, rtol=0)
    torch.testing.assert_close(a.velocity @ turn.T, b.velocity, atol=1e-4, rtol=0)
    torch.testing.assert_close(a.contact, b.contact, atol=1e-4, rtol=0)


def test_untrained_it_leaves_a_draft_nearly_as_it_is(placed, body) -> None:
    torch.manual_seed(1)
    found = _refined(Refiner(TINY).eval(), placed, body)
    apart = geodesic_distance(found.rotations, placed.rotations)
    assert float(apart.rad2deg().max()) < 3
    assert torch.equal(found.rotations[:, 22:], placed.rotations[:, 22:])


def test_no_step_is_shown_over_a_cut_or_of_a_moving_camera(placed, body) -> None:
    rotations = placed.rotations[None, :20, :22]
    shot_id = (torch.arange(20)[None] >= 12).long()
    still = torch.ones(1, 20, dtype=torch.bool)
    still[:, 15:] = False
    draft = Draft(rotations, bare_joints(rotations, body), torch.ones(1, 20, 22),
                  placed.offset[None, :20], still, shot_id)  # fmt: skip
    first = 22 * 10 + 4
    shown = show_draft(draft, fps=FPS)[0]
    step, known = shown[:, first : first + 3], shown[:, first + 3]
    expected = [0.0] + [1.0] * 11 + [0.0] + [1.0] * 2 + [0.0] * 5
    assert known.tolist() == expected
    assert not step[known == 0].any() and bool(step[known > 0].any(-1).all())
    to_cut = shown[:, -2:]
    assert to_cut[12, 0] == 1 and to_cut[11, 1] == 1 and not to_cut[:12, 0].any()


def test_other_rates_and_long_videos_are_put_right_alike(network, placed, body) -> None:
    whole = _refined(network, placed, body)
    assert len(placed.rotations) > WINDOW
    twice = torch.arange(2 * 150 - 1) / 2
    rows = twice.long()
    often = replace(placed, rotations=placed.rotations[rows], offset=placed.offset[rows],
                    seen=placed.seen[rows], feet_seen=placed.feet_seen[rows])  # fmt: skip
    found = _refined(network, often, body, times=twice.double() / FPS,
                     shot_id=(rows >= 70).long())  # fmt: skip
    even = torch.arange(0, len(rows), 2)
    apart = geodesic_distance(found.rotations[even], whole.rotations)
    # A frame that stands twice is the last of its shot half a frame later.
    assert float(apart.rad2deg().mean()) < 0.5
    torch.testing.assert_close(found.contact[even][:60], whole.contact[:60], atol=0.05, rtol=0)


def test_somebody_absent_leaves_finite_numbers(network, placed, body) -> None:
    frames = len(placed.rotations)
    nowhere = replace(placed, offset=torch.zeros(frames, 3), seen=torch.zeros(frames))
    found = refine_person(
        network, nowhere, body=body, confidence=torch.zeros(frames, 22),
        times=torch.arange(frames).double() / FPS, shot_id=torch.zeros(frames, dtype=torch.long),
        still=torch.ones(frames, dtype=torch.bool),
    )  # fmt: skip
    assert bool(torch.isfinite(found.rotations).all() and torch.isfinite(found.velocity).all())


def test_weights_of_something_else_are_refused(tmp_path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    for sizes in ('{"width": 32, "hidden": 32, "blocks": 1, "heads": 2}', '{"dropout": 2.0}'):
        (tmp_path / "other.json").write_text(sizes)
        with pytest.raises(FileFormatError, match="no refiner"):
            load_refiner(tmp_path / "other.safetensors")
