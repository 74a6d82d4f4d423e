"""Virtual cameras: they see whom they film, keep their kind, and turn at cuts as they say."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.recovery.virtual_cameras import KIND_SHARES, KINDS, draw_cameras, faded, film
from humanmotion.rotations import wrap_angle

SIZE = (640, 360)
FPS = 30.0


def _path(frames: int = 120) -> torch.Tensor:
    time = torch.arange(frames) / FPS
    return torch.stack((time, 0.3 * time.sin(), 0.95 + 0.02 * (7 * time).sin()), -1)


def _film(seed: int, cuts: tuple[int, ...] = (40, 80)):
    generator = torch.Generator().manual_seed(seed)
    return film(_path(), cuts=cuts, fps=FPS, size=SIZE, generator=generator)


@pytest.mark.parametrize("seed", range(12))
def test_the_person_is_in_the_picture(seed: int) -> None:
    for shot in _film(seed):
        place = shot.camera.project(_path()[shot.start : shot.stop])
        inside = ((place > 0) & (place < torch.tensor(SIZE))).all(-1)
        assert inside.float().mean() >= 0.9
        assert (shot.camera.to_camera(_path()[shot.start : shot.stop])[:, 2] > 0.5).all()


def test_kinds_are_what_they_say_and_as_often() -> None:
    count = 2000
    generator = torch.Generator().manual_seed(0)
    kind, camera = draw_cameras(
        torch.tensor((0.0, 0.0, 0.95)).expand(count, 20, 3), torch.zeros(count), fps=FPS, size=SIZE,
        generator=generator,
    )  # fmt: skip
    shares = torch.bincount(kind, minlength=3) / count
    # Somebody who stands still is never lost, so that no camera had to change its kind.
    torch.testing.assert_close(shares, torch.tensor(KIND_SHARES), atol=0.04, rtol=0)
    centre = camera.centre.unflatten(0, (count, 20))
    goes = (centre - centre[:, :1]).norm(dim=-1).amax(-1) > 1e-3
    assert bool((goes == (kind == KINDS.index("moving"))).all())


def test_the_view_goes_round_the_person_as_said() -> None:
    for seed in range(20):
        shots = _film(seed)
        path = _path()
        for before, after in pairwise(shots):
            # Where the camera is from the person, both at the start of their shots.
            away = []
            for shot in (before, after):
                part = path[shot.start : shot.stop]
                middle = part.mean(0) if shot.kind == "static" else part[0]
                off = shot.camera.centre[0] - middle
                away.append(torch.atan2(off[1], off[0]))
            assert abs(float(wrap_angle(away[1] - away[0]))) == pytest.approx(
                after.turn_rad, abs=1e-3
            )
            assert 0 <= after.turn_rad <= math.pi


def test_the_same_seed_films_the_same() -> None:
    for a, b in zip(_film(3), _film(3), strict=True):
        assert torch.equal(a.camera.R_w2c, b.camera.R_w2c) and a.kind == b.kind


def test_shots_of_a_batch_do_not_depend_on_each_other() -> None:
    _, camera = draw_cameras(
        _path()[None].expand(5, -1, -1), torch.zeros(5), fps=FPS, size=SIZE,
        generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    R = camera.R_w2c.unflatten(0, (5, 120))
    assert len({round(float(r.sum()), 4) for r in R}) == 5


@pytest.mark.parametrize("cuts", [(0,), (50, 50), (120,), (80, 40)])
def test_cuts_that_do_not_rise_are_refused(cuts: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="must rise"):
        _film(0, cuts)


def test_faded_noise_remembers_as_much_as_it_is_told() -> None:
    noise = faded((4000, 40), keep=0.8, generator=torch.Generator().manual_seed(0))
    assert float(noise.var()) == pytest.approx(1, abs=0.03)
    assert float((noise[:, 1:] * noise[:, :-1]).mean()) == pytest.approx(0.8, abs=0.03)
