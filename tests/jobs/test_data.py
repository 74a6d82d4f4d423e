"""Motion-capture folders: a folder made here whose content is known, and the real ones if given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from humanmotion.errors import FileFormatError, InputError
from humanmotion.jobs.data import (
    SOURCE_LEG_METRES,
    good_frames,
    list_clips,
    load_clip,
    motion_folders,
    read_index,
)
from humanmotion.metrics.contact import sole_height, stance_sole_height

STEP = np.pi / 32767
FRAMES = 40
PLACE = (3.0, -2.0, 0.5)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two clips of somebody who is pushed sideways, stiff; the second has hands and a face."""
    poses = np.zeros((FRAMES, 22, 3))
    poses[:, 0, 0] = np.pi / 2
    poses[:, 16, 2] = -1.0
    pelvis = np.zeros((FRAMES, 3))
    # Standing for half of the clip, then a metre and a half along x.
    pelvis[20:, 0] = np.linspace(0, 1.5, 20)
    arrays = {}
    for name in ("a", "b"):
        arrays[f"{name}/poses"] = np.round(poses.reshape(FRAMES, 66) / STEP).astype(np.int16)
        arrays[f"{name}/pelvis"] = np.round(pelvis * 2000).astype(np.int16)
        arrays[f"{name}/origin"] = np.array(PLACE, np.float32)
    hands = np.zeros((FRAMES, 30, 3))
    hands[:, 2, 1] = 0.5
    arrays["b/hands"] = np.round(hands.reshape(FRAMES, 90) / STEP).astype(np.int16)
    arrays["b/face"] = np.full((FRAMES, 9), round(0.1 / STEP), np.int16)
    np.savez(tmp_path / "shard_000.npz", **arrays)
    rows = [
        {"id": "a", "split": "train", "shard": "shard_000.npz", "bad": [[3, 5], [38, 99]]},
        {"id": "b", "split": "val", "shard": "shard_000.npz", "text": "slides", "exclude": True},
    ]
    (tmp_path / "index.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    return tmp_path


def test_clips_are_listed_by_split(folder) -> None:
    (train,), (val,) = (list_clips(folder, split=s) for s in ("train", "val"))
    assert (train.id, train.text, train.excluded, train.bad) == ("a", "", False, ((3, 5), (38, 99)))
    assert (val.id, val.text, val.excluded, val.bad) == ("b", "slides", True, ())
    assert list_clips(folder, split="test") == []


def test_frames_with_jumps_are_left_out(folder) -> None:
    (clip,) = list_clips(folder, split="train")
    assert np.flatnonzero(~good_frames(clip, FRAMES)).tolist() == [3, 4, 38, 39]


def test_a_clip_stands_on_the_floor_with_its_path_in_leg_lengths(folder, body) -> None:
    (clip,) = list_clips(folder, split="train")
    motion = load_clip(clip, body)
    joints, sole = body.joints_of(motion), body.sole_offset()
    assert stance_sole_height(joints, sole=sole, fps=30) == pytest.approx(0, abs=1e-5)
    assert sole_height(joints, sole=sole).abs().max() < 0.02
    scale = float(body.leg_length()) / SOURCE_LEG_METRES
    pelvis = joints[:, 0]
    assert float(pelvis[-1, 0] - pelvis[0, 0]) == pytest.approx(1.5 * scale, abs=2e-3)
    assert pelvis[0, :2].tolist() == pytest.approx([3 * scale, -2 * scale], abs=2e-3)


def test_the_pose_is_the_stored_one(folder, body) -> None:
    (clip,) = list_clips(folder, split="val")
    motion = load_clip(clip, body)
    expected = torch.zeros(FRAMES, 55, 3)
    expected[:, 0, 0], expected[:, 16, 2] = torch.pi / 2, -1.0
    expected[:, 22:25], expected[:, 27, 1] = 0.1, 0.5
    assert torch.allclose(motion.rotvec, expected, atol=2e-4)
    assert motion.joints_present.all() and (motion.confidence == 1).all()
    assert motion.fps == 30 and motion.body_sha256 == body.sha256
    assert motion.meta["text"] == "slides" and motion.meta["source"].endswith("/b")


def test_what_a_clip_lacks_is_marked(folder, body) -> None:
    (clip,) = list_clips(folder, split="train")
    motion = load_clip(clip, body)
    assert motion.joints_present.tolist() == [True] * 22 + [False] * 33
    assert (motion.confidence == motion.joints_present.float()).all()


def test_wrong_folders_are_named(folder, body) -> None:
    (clip,) = list_clips(folder, split="train")
    with pytest.raises(InputError, match=r"shard_000\.npz holds no clip gone"):
        load_clip(type(clip)(folder, "gone", "train", clip.shard, "", (), False), body)
    with (folder / "index.jsonl").open("a") as stream:
        stream.write("{broken\n")
    with pytest.raises(FileFormatError, match="line 4 is not JSON"):
        read_index(folder / "index.jsonl")
    with pytest.raises(InputError, match="does not exist"):
        list_clips(folder / "none", split="train")


def test_folders_are_found_by_what_they_hold(folder) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "index.jsonl").write_text("")
    assert list(motion_folders(folder)) == [folder]
    assert list(motion_folders(folder / "other")) == []


@pytest.mark.parametrize("name", ["cmu", "rocketbox", "mannequin_cc0"])
def test_real_clips_stand_on_the_floor(name, data, body) -> None:
    clips = [c for c in list_clips(data / name, split="val") if not c.excluded and not c.bad]
    clips = [c for c in clips if "walk" in c.text.lower()][:3] or clips[:3]
    assert clips
    for clip in clips:
        motion = load_clip(clip, body)
        joints = body.joints_of(motion)
        level = stance_sole_height(joints, sole=body.sole_offset(), fps=30)
        assert abs(float(level)) < 1e-4, clip.id
        assert torch.isfinite(joints).all()
        # A person of this body's legs, not of another scale: the pelvis is one leg above the sole.
        height = joints[:, 0, 2].quantile(0.9)
        assert 0.4 < float(height / body.leg_length()) < 1.5, clip.id
