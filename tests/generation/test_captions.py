"""Laws of captions: mirrors undo themselves, and a planted movement is told as it is."""

from __future__ import annotations

import json
import math

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.generation.captions import (
    Movement,
    action_label,
    clean_caption,
    computed_captions,
    expanded,
    mirrored_caption,
    movement,
    of_part,
    sides,
    spoken,
    variations,
)
from humanmotion.jobs.demo_motion import TURN_DEGREES_PER_SECOND, walking_motion
from humanmotion.motion import Motion
from humanmotion.rotations import rotation_about_z

SETS = ("cmu", "rocketbox", "mannequin_cc0", "bandai_nc")


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def circle(body) -> Motion:
    """A walk once around, to the left."""
    return walking_motion(body, seconds=360 / TURN_DEGREES_PER_SECOND + 0.2)


def told(motion: Motion, body: BodyModel) -> Movement:
    joints = body.joints_of(motion)[:, :22]
    return movement(joints, motion.rotations[:, 0], fps=motion.fps)


class TestMirror:
    @pytest.mark.parametrize(
        ("plain", "other"),
        [
            ("turns left", "turns right"),
            ("Left-handed and RIGHT", "Right-handed and LEFT"),
            ("walks counterclockwise", "walks clockwise"),
            ("upright, a bright straightforward man", "upright, a bright straightforward man"),
            ("leftwards to the leftmost", "rightwards to the rightmost"),
        ],
    )
    def test_sides_swap(self, plain, other):
        assert mirrored_caption(plain) == other
        assert mirrored_caption(other) == plain

    def test_twice_is_the_same_for_every_caption(self, data):
        for name in SETS:
            for line in (data / name / "texts.jsonl").read_text().splitlines():
                for caption in map(clean_caption, json.loads(line)["captions"]):
                    assert mirrored_caption(mirrored_caption(caption)) == caption

    def test_sides_swap_in_a_mirror(self):
        for text in ("turns left", "spins clockwise with the left hand up", "walks"):
            assert sides(text)[::-1] == sides(mirrored_caption(text))
        assert sides("turns left") == (True, False) and sides("walks") == (False, False)

    def test_one_spelling(self):
        assert clean_caption("  turns Anti-clockwise\n. ") == "turns counterclockwise"
        assert clean_caption("counter clockwise") == "counterclockwise"

    def test_a_mirrored_motion_is_told_in_mirrored_words(self, circle, body):
        plain, other = (
            computed_captions(["a person walks"], told(m, body)) for m in (circle, circle.mirror())
        )
        assert tuple(map(mirrored_caption, plain)) == other


class TestMovement:
    def test_a_planted_circle_turns_left(self, circle, body):
        move = told(circle, body)
        assert math.isclose(move.turn_deg, 360, abs_tol=10)
        assert move.direction == "forward"
        assert "a person walks, in a circle counterclockwise" in computed_captions(
            ["a person walks"], move
        )
        half = told(circle[: len(circle) // 4], body)
        assert "a person walks, turning left" in computed_captions(["a person walks"], half)

    def test_the_world_does_not_matter(self, circle, body):
        turned = circle.with_rotations(circle.rotations, transl=circle.transl)
        about = rotation_about_z(torch.tensor(2.0))
        rotations = circle.rotations.clone()
        rotations[:, 0] = about @ rotations[:, 0]
        rest = body.rest_joints()[0]
        moved = (circle.transl + rest) @ about.mT + torch.tensor((3.0, -1.0, 0.0)) - rest
        turned = circle.with_rotations(rotations, transl=moved)
        one, two = told(circle, body), told(turned, body)
        assert (one.direction, one.steps) == (two.direction, two.steps)
        assert math.isclose(one.speed, two.speed, rel_tol=1e-3)
        assert math.isclose(one.turn_deg, two.turn_deg, abs_tol=0.1)

    @pytest.mark.parametrize(
        ("away", "way"), [(0, "forward"), (90, "left"), (180, "backward"), (-90, "right")]
    )
    def test_the_way_is_told_against_the_heading(self, away, way):
        """A stiff figure facing 30 degrees and sliding `away` from there at 1 m/s."""
        frames, fps, facing = 80, 20.0, math.radians(30)
        upright = torch.tensor(((1.0, 0, 0), (0, 0, -1), (0, 1, 0)))
        root = rotation_about_z(torch.tensor(facing + math.pi / 2)) @ upright
        goes = facing + math.radians(away)
        path = torch.arange(frames)[:, None] / fps * torch.tensor((math.cos(goes), math.sin(goes)))
        joints = torch.zeros(frames, 22, 3)
        joints[..., :2] = path[:, None]
        move = movement(joints, root.expand(frames, 3, 3), fps=fps)
        assert move.direction == way
        # Smoothed over a second, both ends lie a quarter of one further in.
        assert math.isclose(move.travelled, (frames - 1) / fps - 0.5, rel_tol=0.02)

    def test_steps_are_counted(self, body):
        """One each half of a cycle, of the walk made of sines."""
        from humanmotion.jobs.demo_motion import STEP_SECONDS

        walk = walking_motion(body, seconds=6 * STEP_SECONDS)
        assert abs(told(walk, body).steps - 12) <= 1

    def test_who_stands_is_not_told_to_walk(self, circle, body):
        still = circle[:1]
        frames = torch.zeros(60, dtype=torch.long)
        still = Motion.create(circle.rotvec[frames], circle.transl[frames], fps=30.0)
        move = told(still, body)
        assert (move.direction, move.steps, spoken(move)) == ("", 0, {})
        assert computed_captions(["a person walks"], move) == ()


def test_nothing_is_said_twice():
    move = Movement(speed=2.0, travelled=4.0, direction="forward", turn_deg=90.0, steps=5)
    assert computed_captions(["a person walks quickly and turns left"], move) == (
        "a person walks quickly and turns left, taking five steps",
        "a person moves forward turning left",
    )


def test_a_turn_on_the_spot_is_a_sentence_of_its_own():
    move = Movement(speed=0.1, travelled=0.1, direction="", turn_deg=-90.0, steps=2)
    assert computed_captions(["a person looks about"], move) == ("a person turns right",)
    assert computed_captions(["a person turns on the spot"], move) == ()


def test_what_holds_of_a_whole_is_not_said_of_a_part():
    assert of_part(["a person dances", "walks, then sits", "4 hops", "turns around"]) == (
        "a person dances",
    )


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("walking", "walk"),
        ("dance - sideways steps, pirouette", "dance"),
        ("Walk forward, turn around", "walk_forward"),
        ("Empi", "empi"),
        ("?", "unnamed"),
    ],
)
def test_actions_are_the_heads_of_descriptions(text, label):
    assert action_label(text) == label


class TestExpanded:
    def test_variations_keep_what_is_said(self):
        found = variations("a man walks with the left arm raised")
        assert "a man walks with the right arm raised" in found
        assert "a person walks with the left arm raised" in found
        assert "a man walks with the left arm raised slowly" in found
        # Left is spoken of already: another turn would contradict it.
        assert not any("turning" in v or "circle" in v for v in found)
        assert "a man walks with the left arm raised" not in found
        assert not any("slowly" in v for v in variations("a person walks quickly"))
        assert "a person walks, in a circle clockwise" in variations("a person walks")
        assert variations("meditate") == ()

    def test_every_caption_comes_before_what_is_made_of_it(self):
        own = ["a person walks", "a man waves", "meditate"]
        prompts = expanded(own, count=40, seed=3)
        assert set(prompts[:3]) == set(own) and len(prompts) == 40
        new = {v for caption in own for v in variations(caption)} - set(own)
        assert set(prompts[3 : 3 + len(new)]) == new
        # Then all begins anew.
        assert prompts[3 + len(new) : 6 + len(new)] == prompts[:3]
        assert expanded(own, count=5, seed=3) == prompts[:5] != expanded(own, count=5, seed=4)

    def test_no_caption(self):
        with pytest.raises(UsageError, match="no caption"):
            expanded([], count=3, seed=0)
