"""Masks hide every limb and nothing far from a person."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.masks import PeopleMasks

WIDTH, HEIGHT = 640, 480
PLACES = {
    "nose": (0, -80),
    "left_shoulder": (20, -50),
    "right_shoulder": (-20, -50),
    "left_elbow": (40, -20),
    "right_elbow": (-40, -20),
    "left_wrist": (60, 0),
    "right_wrist": (-60, 0),
    "left_hip": (12, 20),
    "right_hip": (-12, 20),
    "left_knee": (16, 70),
    "right_knee": (-16, 70),
    "left_ankle": (16, 120),
    "right_ankle": (-16, 120),
}


def person(x: float, y: float, *, joint_set: str = "coco_17", scale: float = 1.0) -> Keypoints:
    names = JOINT_SETS[joint_set]
    xy, confidence = torch.zeros(1, len(names), 2), torch.zeros(1, len(names))
    for name, place in PLACES.items():
        if name in names:
            j = names.index(name)
            xy[0, j] = torch.tensor([x, y]) + scale * torch.tensor(place, dtype=torch.float)
            confidence[0, j] = 0.9
    return Keypoints(xy, confidence, torch.zeros(1), joint_set, WIDTH, HEIGHT)


def mask_of(*tracks: Keypoints, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    return PeopleMasks(tracks, width=width, height=height).background(0)


@pytest.mark.parametrize("joint_set", JOINT_SETS)
def test_every_joint_and_limb_is_hidden_in_every_joint_set(joint_set):
    mask = mask_of(person(320, 240, joint_set=joint_set))
    names = [n for n in PLACES if n in JOINT_SETS[joint_set] and n != "nose"]
    for name in names:
        x, y = np.add(PLACES[name], (320, 240))
        assert mask[y, x] == 0, name
    for a, b in (("left_shoulder", "left_elbow"), ("right_knee", "right_ankle")):
        middle = (np.array(PLACES[a]) + PLACES[b]) // 2 + (320, 240)
        assert mask[middle[1], middle[0]] == 0


def test_a_limb_is_a_capsule_of_all_pixels_near_it():
    mask = mask_of(person(320, 240))
    knee, ankle = (np.add(PLACES[f"left_{n}"], (320.0, 240.0)) for n in ("knee", "ankle"))
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    share = np.clip((y - knee[1]) / (ankle[1] - knee[1]), 0, 1)
    distance = np.hypot(x - knee[0], y - knee[1] - share * (ankle[1] - knee[1]))
    assert not mask[distance < 0.15 * 70].any()


def test_the_background_far_from_the_person_stays():
    mask = mask_of(person(320, 240))
    assert mask[:, :180].all() and mask[:, 460:].all() and mask[:80].all()
    assert 0.03 < (mask == 0).mean() < 0.15


def test_people_are_hidden_together_and_in_any_order():
    a, b = person(150, 240), person(450, 240)
    both = np.minimum(mask_of(a), mask_of(b))
    assert (mask_of(a, b) == both).all()
    assert (mask_of(b, a) == both).all()


def test_the_mask_scales_with_the_picture():
    whole = mask_of(person(320, 240)) == 0
    half = mask_of(person(320, 240), width=WIDTH // 2, height=HEIGHT // 2) == 0
    grown = half.repeat(2, 0).repeat(2, 1)
    assert (whole & grown).sum() / (whole | grown).sum() > 0.9


def test_nobody_seen_hides_nothing():
    track = person(320, 240)
    unseen = Keypoints(
        track.xy, torch.zeros_like(track.confidence), track.times, "coco_17", WIDTH, HEIGHT
    )
    assert mask_of(unseen).all()
    masks = PeopleMasks([track], width=WIDTH, height=HEIGHT)
    assert masks.background(1).all() and masks.background(-1).all()


def test_a_person_of_two_joints_is_hidden_by_its_box():
    track = person(320, 240)
    few = torch.zeros_like(track.confidence)
    few[0, [5, 9]] = 0.9
    mask = mask_of(Keypoints(track.xy, few, track.times, "coco_17", WIDTH, HEIGHT))
    assert not mask[190:240, 340:380].any()


def test_coordinates_far_outside_do_no_harm():
    assert mask_of(person(1e7, -1e7)).all()
    assert (mask_of(person(320, 240, scale=500.0)) == 0).any()


def test_an_empty_picture_is_refused():
    with pytest.raises(UsageError, match="0x480"):
        PeopleMasks([], width=0, height=480)
