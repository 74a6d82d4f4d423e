"""The focal length: what was given wins, a pan measures it, else the diagonal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from humanmotion.errors import UsageError
from humanmotion.recovery.focal import FocalEstimate, choose_focal, pan_focal
from humanmotion.recovery.rotation_fit import Pair

DIAGONAL = math.hypot(640, 360)


def pairs(focal: float, angles_deg: list[tuple[float, float, float]], *, noise: float = 0.0):
    """The same points seen by a camera before and after each turn (yaw, pitch, roll)."""
    rng = np.random.default_rng(0)
    made = []
    for angles in angles_deg:
        a = rng.uniform(-1, 1, (150, 2)) * (320, 180)
        turn = Rotation.from_euler("yxz", angles, degrees=True).as_matrix()
        ray = np.c_[a / focal, np.ones(len(a))] @ turn.T
        b = focal * ray[:, :2] / ray[:, 2:]
        made.append(Pair(a + rng.normal(size=a.shape) * noise, b))
    return made


@pytest.mark.parametrize("share", [0.5, 0.8, 1.3, 2.0])
def test_a_pan_without_noise_gives_its_focal_length(share):
    found = pan_focal(pairs(share * DIAGONAL, [(8, 1, 0), (-5, 3, 1)]), diagonal=DIAGONAL)
    assert found.focal_px == pytest.approx(share * DIAGONAL, rel=0.01)
    assert found.method == "pan"


@pytest.mark.parametrize("angle", [3.0, 10.0])
def test_the_error_of_a_noisy_pan_is_within_its_sigma(angle):
    true = 1.1 * DIAGONAL
    noisy = pairs(true, [(angle, 1, 0), (-angle, 0, 0)], noise=0.3)
    found = pan_focal(noisy, diagonal=DIAGONAL)
    assert abs(math.log(found.focal_px / true)) < 3 * found.sigma


def test_what_moves_by_itself_does_not_mislead():
    true = 0.9 * DIAGONAL
    made = pairs(true, [(9, 2, 0), (-7, 0, 0)], noise=0.2)
    spoilt = [Pair(p.a, np.where(np.arange(150)[:, None] < 40, p.b + 40, p.b)) for p in made]
    assert pan_focal(spoilt, diagonal=DIAGONAL).focal_px == pytest.approx(true, rel=0.05)


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (0.3, 0.1, 0.0), (0.0, 0.0, 20.0)])
def test_a_turn_that_says_nothing_gives_nothing(angles):
    """No turn, a tiny one, and one about the line of sight look alike at every focal length."""
    assert pan_focal(pairs(DIAGONAL, [angles], noise=0.3), diagonal=DIAGONAL) is None


def test_without_pictures_there_is_no_estimate():
    assert pan_focal([], diagonal=DIAGONAL) is None


def test_a_given_focal_length_wins():
    pan = FocalEstimate(900.0, 0.03, "pan")
    assert choose_focal([pan], width=640, height=360, given=500) == FocalEstimate(500, 0, "given")


def test_the_diagonal_is_taken_for_want_of_better():
    chosen = choose_focal(width=1280, height=720)
    assert chosen.focal_px == pytest.approx(math.hypot(1280, 720))
    assert chosen.method == "diagonal" and chosen.sigma > 0.2


def test_pans_are_averaged_by_their_weight():
    sharp, vague = FocalEstimate(1000.0, 0.03, "pan"), FocalEstimate(1100.0, 0.12, "pan")
    chosen = choose_focal([sharp, vague], width=640, height=360)
    assert 1000 < chosen.focal_px < 1010
    assert chosen.method == "pan"


def test_pans_that_disagree_are_trusted_less():
    agree = choose_focal([FocalEstimate(1000.0, 0.03, "pan")] * 2, width=640, height=360)
    apart = [FocalEstimate(f, 0.03, "pan") for f in (800.0, 1200.0)]
    assert choose_focal(apart, width=640, height=360).sigma > 3 * agree.sigma


@pytest.mark.parametrize("given", [0.0, -5.0, math.nan, math.inf])
def test_a_focal_length_that_cannot_be_is_refused(given):
    with pytest.raises(UsageError, match="positive number of pixels"):
        choose_focal(width=640, height=360, given=given)


def test_an_empty_picture_is_refused():
    with pytest.raises(UsageError, match="0x360"):
        choose_focal(width=0, height=360)
