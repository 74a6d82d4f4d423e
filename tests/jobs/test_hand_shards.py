"""Hands in shards: a file of its own, only what a source carries and moves, and windows true to it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.cli.main import main
from humanmotion.errors import FileFormatError, InputError
from humanmotion.files import read_tensors, write_tensors
from humanmotion.generation.features import FPS, mirrored
from humanmotion.generation.hands import hands_of, mirrored_hands
from humanmotion.io.amass import write_amass
from humanmotion.jobs.data_build import build_data
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.hand_shards import BENT, FILE, HandTracks, recorded_parts, within_reach
from humanmotion.jobs.hands_data import HandWindows
from humanmotion.jobs.shards import Shards
from humanmotion.motion import Motion
from tests.jobs.generator_shards import write_shards
from tests.jobs.hand_shards import add_hands, made_up_hands

OLD = ("index.jsonl", "captions.jsonl", "features.safetensors", "text.safetensors", "report.json")


@pytest.fixture(scope="module")
def walk(body) -> Motion:
    return walking_motion(body, seconds=4.1)


@pytest.fixture(scope="module")
def gesture(walk) -> Motion:
    """The same walk, the left fist closing, the mouth opening, the right hand still."""
    times = walk.times.float()[:, None]
    left = torch.zeros(len(walk), 15, 3)
    left[..., 2] = -0.6 - 0.5 * torch.sin(2 * times)
    jaw = torch.cat((0.1 + 0.1 * torch.sin(3 * times), 0 * times, 0 * times), -1)
    right = torch.full((len(walk), 45), 0.1)
    return replace(walk, left_hand_pose=left.flatten(1), right_hand_pose=right, jaw_pose=jaw)


@pytest.fixture(scope="module")
def built(tmp_path_factory, walk, gesture) -> Path:
    folder, out = tmp_path_factory.mktemp("mine"), tmp_path_factory.mktemp("built")
    write_amass(folder / "a_plain_walk.npz", walk)
    write_amass(folder / "b_gesture_walk.npz", gesture)
    build_data([folder], output=out)
    return out


class TestBuild:
    def test_what_moves_is_kept_to_its_clip_and_the_rest_is_missing(self, built, gesture):
        shards = Shards.read(built)
        tracks = HandTracks.read(built, shards)
        names = [row["take"].split("/")[1] for row in shards.rows]
        assert names == ["a_plain_walk", "b_gesture_walk"]
        assert tracks.known.tolist() == [[False] * 3, [True, False, True]]
        assert tracks.starts.tolist() == [-1, 0]
        even = gesture.resample(FPS)[:-1]
        assert len(tracks.hands) == shards.rows[1]["frames"] == len(even)
        torch.testing.assert_close(tracks.hands, hands_of(even), atol=1e-5, rtol=0)

    def test_the_other_files_are_those_of_the_body_alone(self, tmp_path, walk, gesture):
        """Byte by byte: hands change nothing that was there before."""
        for name, motion in (("one", walk), ("two", gesture)):
            (tmp_path / name / "set").mkdir(parents=True)
            write_amass(tmp_path / name / "set" / "walk.npz", motion)
            build_data([tmp_path / name / "set"], output=tmp_path / name / "out")
        for file in OLD[:-1]:
            one, two = ((tmp_path / n / "out" / file).read_bytes() for n in ("one", "two"))
            assert hashlib.sha256(one).digest() == hashlib.sha256(two).digest(), file
        one, two = (read_tensors(tmp_path / n / "out" / FILE) for n in ("one", "two"))
        assert not len(one["hands"]) and len(two["hands"])

    def test_parts_that_a_source_does_not_carry(self, gesture, walk):
        assert recorded_parts(gesture).tolist() == [True, False, True]
        assert not recorded_parts(walk).any()
        absent = replace(gesture, joints_present=torch.arange(55) < 22)
        assert not recorded_parts(absent).any()

    def test_fingers_bend_no_further_than_they_can(self, gesture):
        turns = gesture.left_hand_pose.clone()
        turns[:, 3:6] = torch.tensor((0.0, 0.0, -math.radians(163)))
        held = within_reach(replace(gesture, left_hand_pose=turns))
        angle = held.left_hand_pose.unflatten(-1, (15, 3)).norm(dim=-1)
        assert float(angle.max()) == pytest.approx(BENT, rel=1e-5)
        assert torch.equal(held.left_hand_pose[:, 6:], gesture.left_hand_pose[:, 6:])
        assert torch.equal(held.left_hand_pose[:, :3], gesture.left_hand_pose[:, :3])
        assert torch.equal(held.right_hand_pose, gesture.right_hand_pose)
        assert torch.isfinite(within_reach(replace(gesture, left_hand_pose=0 * turns)).rotvec).all()


class TestRead:
    def test_shards_from_before_hands_are_told_only_where_hands_are_asked_for(
        self, tmp_path, body, capsys
    ):
        folder = write_shards(tmp_path / "old")
        shards = Shards.read(folder)
        with pytest.raises(InputError, match=r"built before hands were kept; build it again with"):
            HandTracks.read(folder, shards)
        done = main(
            ["train", "hands", "--data", str(folder), "-o", str(tmp_path / "out"), "--quiet"]
        )
        said = capsys.readouterr().err
        assert done == 1 and said.count("\n") == 1 and "humanmotion data build SOURCES" in said

    def test_a_file_of_another_build(self, tmp_path):
        folder = add_hands(write_shards(tmp_path / "shards"))
        held, shards = read_tensors(folder / FILE), Shards.read(folder)
        write_tensors(folder / FILE, held | {"hands": held["hands"][1:]})
        with pytest.raises(FileFormatError, match="not of the same build"):
            HandTracks.read(folder, shards)
        write_tensors(folder / FILE, {"hands": held["hands"], "starts": held["starts"]})
        with pytest.raises(FileFormatError, match="lacks 'known'"):
            HandTracks.read(folder, shards)

    def test_nobody_with_hands(self, tmp_path, body):
        folder = add_hands(write_shards(tmp_path / "shards"), clips=(0, 1))
        with pytest.raises(InputError, match="val split of 16 frames whose fingers or jaw"):
            HandWindows.read(folder, split="val", body=body)


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return add_hands(write_shards(tmp_path_factory.mktemp("shards")))


def draw(windows: HandWindows, count: int = 24, seed: int = 0):
    return windows.draw(count, generator=torch.Generator().manual_seed(seed))


class TestWindows:
    def test_unvaried_windows_are_parts_of_their_clips(self, shards, body):
        val = HandWindows.read(shards, split="val", body=body)
        assert val.known.tolist() == [[True, True, False]]
        clip = made_up_hands(2, 79)
        batch = draw(val, 8)
        assert batch.asked[..., :180].all() and not batch.asked[..., 180:].any()
        frames = batch.hands.shape[1]
        for own in batch.hands:
            away = [float((clip[i : i + frames] - own).abs().max()) for i in range(80 - frames)]
            assert min(away) < 1e-5

    def test_clips_without_hands_are_never_drawn(self, shards, body):
        train = HandWindows.read(shards, split="train", body=body)
        assert len(train.known) == 2 and train.windows.clips.shape == (2, 2)
        asked = draw(train, 64).asked.any(1)
        assert asked.any(-1).all()

    def test_body_and_hands_are_mirrored_together(self, shards, body):
        """The same draw, told to mirror all or none of its windows."""
        train = HandWindows.read(shards, split="train", body=body)
        generator = torch.Generator().manual_seed(3)
        chosen = train.windows.choose(6, generator=generator, lengths=(30, 40))

        class Told(type(train.windows)):
            def choose(self, count, *, generator, lengths):
                return replace(chosen, mirror=torch.full((6,), self.side))

        found = []
        for side in (False, True):
            told = Told(**vars(train.windows))
            object.__setattr__(told, "side", side)
            found.append(draw(replace_windows(train, told)))
        plain, flipped = found
        torch.testing.assert_close(flipped.hands, mirrored_hands(plain.hands), atol=1e-6, rtol=0)
        asked = mirrored_hands(plain.asked.float()).abs() > 0
        assert torch.equal(flipped.asked, asked)
        assert not torch.equal(flipped.asked, plain.asked)
        expected = mirrored(plain.body.features)
        there = plain.body.mask[..., None].expand_as(expected)
        torch.testing.assert_close(flipped.body.features[there], expected[there], atol=2e-3, rtol=0)

    def test_statistics_are_those_of_what_is_known_on_either_side(self, shards, body):
        train = HandWindows.read(shards, split="train", body=body)
        values: list[list[torch.Tensor]] = [[] for _ in range(186)]
        for start, (_, frames), known in zip(
            train.starts, train.windows.clips, train.known, strict=True
        ):
            own = train.hands[start : start + frames]
            for rows, sides in ((own, known), (mirrored_hands(own), known[[1, 0, 2]])):
                for number in range(186):
                    if sides[min(number // 90, 2)]:
                        values[number].append(rows[:, number])
        mean, spread = train.statistics()
        for number in (0, 7, 95, 179, 181):
            column = torch.cat(values[number])
            assert float(mean[number]) == pytest.approx(float(column.mean()), abs=1e-5)
            assert float(spread[number]) == pytest.approx(float(column.std()), rel=2e-2, abs=1e-5)


def replace_windows(windows: HandWindows, told) -> HandWindows:
    return HandWindows(told, windows.hands, windows.starts, windows.known)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()
