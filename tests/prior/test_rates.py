from __future__ import annotations

import torch

from humanmotion.prior.problem import Poses
from humanmotion.prior.rates import between, poses_at, values_at
from humanmotion.prior.space import SIZE
from humanmotion.rotations import geodesic_distance, rotation_about_z

OLD = torch.arange(5, dtype=torch.float64)
NEW = torch.tensor((0.0, 0.5, 1.0, 2.25, 4.0, 9.0), dtype=torch.float64)


def poses() -> Poses:
    line = torch.arange(5.0)[:, None]
    return Poses(line.expand(5, SIZE), rotation_about_z(0.3 * line[:, 0]), line.expand(5, 3))


def test_even_movement_is_met_between_frames() -> None:
    found = poses_at(poses(), OLD, NEW, held=torch.ones(5, dtype=torch.bool))
    wanted = NEW.clamp(max=4.0).float()
    assert torch.allclose(found.state, wanted[:, None].expand(6, SIZE))
    assert torch.allclose(found.place, wanted[:, None].expand(6, 3))
    assert float(geodesic_distance(found.root, rotation_about_z(0.3 * wanted)).max()) < 1e-3


def test_frames_that_hold_nobody_do_not_say_where_it_stands() -> None:
    odd = poses()
    place = odd.place.clone()
    place[2] = 100.0
    held = torch.tensor((True, True, False, True, True))
    found = poses_at(Poses(odd.state, odd.root, place), OLD, OLD, held=held)
    assert torch.allclose(found.place, odd.place)
    alone = poses_at(odd, OLD, NEW, held=torch.tensor((False, True, False, False, False)))
    assert torch.allclose(alone.place, torch.ones(6, 3))


def test_a_parabola_errs_by_what_is_said() -> None:
    states = OLD.float()[:, None] ** 2
    found = between(states, OLD, NEW[:5])
    true = (values_at(states, OLD, NEW[:5]) - NEW[:5].float()[:, None] ** 2).abs()
    assert torch.allclose(found, true, atol=1e-6)
    assert not between(states[:1], OLD[:1], NEW).any()
