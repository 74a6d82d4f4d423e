"""Windows of shards: true to their clips at any speed and side, and damage is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError, InputError
from humanmotion.files import read_tensors, write_tensors
from humanmotion.generation.features import (
    POSE,
    POSITIONS,
    SIZE,
    STEP,
    features_of,
    mirrored,
    recanonical,
    self_consistency,
)
from humanmotion.jobs import generator_data
from humanmotion.jobs.generator_data import GeneratorWindows, known_numbers, statistics
from tests.jobs.generator_shards import FRAMES, WIDTH, made_up, write_shards


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def train(shards, body) -> GeneratorWindows:
    return GeneratorWindows.read(shards, split="train", body=body)


def draw(windows, count=64, seed=0):
    return windows.draw(count, generator=torch.Generator().manual_seed(seed))


def test_unvaried_windows_are_parts_of_their_clips(shards, body, monkeypatch) -> None:
    """Of the clip of the val split; a whole clip is what it was but for its last frame."""
    val = GeneratorWindows.read(shards, split="val", body=body)
    clip = features_of(made_up(2, FRAMES[2]), body)
    batch = draw(val, 16)
    lengths = batch.mask.sum(1)
    assert len(set(lengths.tolist())) == 1 and batch.captioned.all()
    monkeypatch.setattr(generator_data, "FRAMES", (200, 200))
    whole = draw(val, 2)
    assert whole.mask.all() and whole.features.shape == (2, len(clip) - 1, SIZE)
    torch.testing.assert_close(whole.features[0], clip[:-1], atol=2e-5, rtol=0)
    monkeypatch.setattr(generator_data, "FRAMES", (30, 30))
    part = draw(val, 8)
    assert part.features.shape == (8, 30, SIZE)
    for window in part.features:
        away = torch.stack([
            (recanonical(clip[i : i + 30], rest=val.rest) - window).abs().amax()
            for i in range(len(clip) - 30)
        ])  # fmt: skip
        assert float(away.min()) < 2e-5


def test_windows_are_real_motion(train) -> None:
    batch = draw(train)
    assert torch.isfinite(batch.features).all() and not batch.features[~batch.mask].any()
    for features, mask in zip(batch.features, batch.mask, strict=True):
        gaps = self_consistency(features[mask], rest=train.rest)
        assert float(gaps.positions) < 1e-5 and float(gaps.integrated) < 1e-3
        first = features[0, POSITIONS].unflatten(-1, (22, 3))
        assert float(first[0, :2].abs().max()) < 1e-5
        assert abs(float((first[2] - first[1])[1])) < 1e-5 and float((first[2] - first[1])[0]) > 0


def test_half_are_mirrored_and_what_was_recorded_with_them(train) -> None:
    """The left elbow is bent in every clip: in a mirror the right one."""
    batch = draw(train, 400)
    left, right = (
        batch.features[:, 0, 6 * (j - 1) : 6 * j]
        .sub(torch.tensor([1.0, 0, 0, 1, 0, 0]))
        .norm(dim=-1)
        for j in (18, 19)
    )
    flipped = right > left
    assert 0.4 < float(flipped.float().mean()) < 0.6
    unknown = ~batch.known[:, POSE].unflatten(-1, (21, 6))[..., 0]
    some = unknown.any(1)
    assert 0.1 < float(some.float().mean()) < 0.5
    assert unknown[some & flipped].nonzero()[:, 1].unique().tolist() == [20]
    assert unknown[some & ~flipped].nonzero()[:, 1].unique().tolist() == [19]


def test_mirrored_windows_are_the_mirror_image(train) -> None:
    clip = torch.tensor([0, 1, 2])
    places, _ = train._places(clip, torch.ones(3), torch.full((3,), 0.3), length=50)
    plain, other = (train._encoded(places, clip, torch.full((3,), flip)) for flip in (False, True))
    torch.testing.assert_close(other, mirrored(plain), atol=2e-5, rtol=0)


def test_mirrored_windows_have_mirrored_captions(shards, train) -> None:
    names = [json.loads(x) for x in (shards / "captions.jsonl").read_text().splitlines()]
    found = [
        [[names[int(c)] for c in side[: int(n)]] for side, n in zip(sides, counts, strict=True)]
        for sides, counts in zip(train.captions, train.counts, strict=True)
    ]
    arms = [["raises the left arm"], ["raises the right arm"]]
    assert found == [arms, [[], []], arms]


def test_slower_is_slower(train) -> None:
    clip = torch.tensor([1])
    steps = []
    for speed, length in ((0.8, 100), (1.25, 64)):
        given = torch.tensor([speed])
        places, frames = train._places(clip, given, torch.zeros(1), length=length)
        assert int(frames) == length
        found = train._encoded(places, clip, torch.tensor([False]))
        steps.append(float(found[0, :, STEP].norm(dim=-1).mean()))
    assert steps[1] / steps[0] == pytest.approx(1.25 / 0.8, rel=0.01)


def test_clips_without_a_caption_have_none(train) -> None:
    batch = draw(train, 200)
    # Clip 1 is the only long one: two of four parts of ten seconds are its own.
    assert 0.3 < float((~batch.captioned).float().mean()) < 0.7
    longest = int(batch.text_mask.sum(1).max())
    assert batch.text.shape == (200, longest, WIDTH) and batch.text.dtype == torch.float32


def test_a_window_is_never_longer_than_its_clip(train) -> None:
    lengths = torch.cat([draw(train, 32, seed=s).mask.sum(1) for s in range(20)])
    assert int(lengths.max()) <= 200 and int(lengths.min()) >= 40
    assert len(lengths.unique()) > 20


def test_a_seed_is_a_draw(train) -> None:
    a, b, c = (draw(train, seed=s).features for s in (1, 1, 2))
    assert torch.equal(a, b) and (a.shape != c.shape or not torch.equal(a, c))


def test_long_shards_keep_their_places_apart(train) -> None:
    """A place is counted within its clip: a float32 of hours of frames would not know them."""
    filler = torch.zeros(300_000, 1)
    far = replace(
        train, turns=torch.cat((filler[:, :, None].expand(-1, 22, 6), train.turns)),
        pelvis=torch.cat((filler.expand(-1, 3), train.pelvis)),
        clips=train.clips + torch.tensor((len(filler), 0)),
    )  # fmt: skip
    torch.testing.assert_close(draw(far, 8).features, draw(train, 8).features, atol=0, rtol=0)


def test_statistics_are_those_of_what_is_drawn(train) -> None:
    mean, spread = statistics(train, draws=8)
    batch = draw(train, 400, seed=9)
    values = ((batch.features - mean) / spread.clamp(min=1e-3))[batch.mask]
    assert float(values.mean(0).abs().max()) < 0.4
    assert 0.7 < float(values.std(0).median()) < 1.3


def test_what_a_moving_camera_saw_counts_as_pose_alone() -> None:
    known = torch.ones(2, 22, dtype=torch.bool)
    known[0, 0], known[1, 1] = False, False
    found = known_numbers(known)
    assert found[0, :126].all() and not found[0, 126:].any()
    assert not found[1, :6].any() and found[1, 6:].all()


class TestDamage:
    def change(self, folder: Path, name: str, change):
        path = folder / name
        if name.endswith("jsonl"):
            rows = [json.loads(x) for x in path.read_text().splitlines()]
            change(rows)
            path.write_text("".join(json.dumps(r) + "\n" for r in rows))
        else:
            held = read_tensors(path)
            change(held)
            write_tensors(path, {k: v.clone() for k, v in held.items()})

    @pytest.mark.parametrize(
        ("name", "change", "message"),
        [
            ("index.jsonl", lambda r: r[1].pop("split"), "line 2 lacks split"),
            ("index.jsonl", lambda r: r[0].update(captions=["flies"]), "line 1.* lacks 'flies'"),
            ("index.jsonl", lambda r: r.pop(), "not of one build"),
            ("index.jsonl", lambda r: r[4].update(start=900), "line 5: the clip lies beyond"),
            ("captions.jsonl", lambda r: r.append("jumps"), "not of one build"),
            (
                "features.safetensors",
                lambda t: t.update(known=t["known"][:2]),
                "5 clips in the index, 2",
            ),
            ("text.safetensors", lambda t: t.pop("mask"), "no folder of `data build`"),
        ],
    )
    def test_is_told(self, body, tmp_path, name, change, message):
        folder = write_shards(tmp_path / "shards")
        self.change(folder, name, change)
        with pytest.raises(FileFormatError, match=message):
            GeneratorWindows.read(folder, split="train", body=body)

    def test_no_such_split(self, shards, body):
        with pytest.raises(InputError, match="holds no clip of the test split"):
            GeneratorWindows.read(shards, split="test", body=body)

    def test_no_shards(self, tmp_path, body):
        with pytest.raises(InputError, match="does not exist"):
            GeneratorWindows.read(tmp_path, split="train", body=body)
