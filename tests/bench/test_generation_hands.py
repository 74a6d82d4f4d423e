"""Rows of hands: an oracle is as good as real, tremor and broken fingers are seen, missing ones not."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from humanmotion.bench.generation_hands import jaw_degrees, rows, tips
from humanmotion.body import BodyModel
from humanmotion.generation.features import rowwise_sixd
from humanmotion.generation.hands import HANDS_SIZE, hand_rotations, hands_of, mirrored_hands
from humanmotion.jobs.hand_shards import HandTracks
from humanmotion.jobs.shards import Shards
from humanmotion.motion import Motion
from humanmotion.rotations import rotvec_to_matrix
from tests.jobs.generator_shards import write_shards
from tests.jobs.hand_shards import add_hands


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def held(tmp_path_factory) -> tuple[Shards, HandTracks]:
    folder: Path = add_hands(write_shards(tmp_path_factory.mktemp("shards")))
    shards = Shards.read(folder)
    return shards, HandTracks.read(folder, shards)


class Oracle:
    """Gives each clip its real hands, spoilt by `spoil`."""

    def __init__(self, held, spoil=lambda hands, seed: hands):
        self.held, self.spoil, self.read = held, spoil, []

    def __call__(self, features, *, text, seed):
        shards, tracks = self.held
        self.read.append(text)
        for clip, row in enumerate(shards.rows):
            if torch.equal(shards.of_clip(clip), features):
                start = int(tracks.starts[clip])
                return self.spoil(tracks.hands[start : start + row["frames"]], seed)
        raise AssertionError("features of no clip")


def found(held, body, maker, split="train"):
    out = {row.id: row for row in rows(maker, held, split=split, body=body, seeds=(0, 1))}
    return out


def test_an_oracle_is_real(held, body) -> None:
    maker = Oracle(held)
    out = found(held, body, maker)
    for name in ("fingertips", "jaw"):
        for key in ("jitter", "spread-time", "spread-clips"):
            assert out[f"hands-train-{name}-{key}"].value == pytest.approx(1, abs=1e-5), key
            assert out[f"hands-train-{name}-{key}-real"].value > 0
        assert out[f"hands-train-{name}-spread-seeds"].value == pytest.approx(0, abs=1e-3)
    assert out["hands-train-range"].value == out["hands-train-range-real"].value == 0
    assert out["hands-train-fit"].value < 0.05
    assert out["hands-train-fingertips-jitter"].passed and out["hands-train-range"].passed
    # Clip 1 of the split carries no hands; clips 0 and 3 are asked for twice each, with their text.
    assert len(maker.read) == 4 and all(text is not None for text in maker.read)


def test_jitter_is_the_mean_second_difference_of_the_tips(held, body) -> None:
    """Of clip 0's left and clip 3's right hand, frame by frame."""
    shards, tracks = held
    total, count = 0.0, 0
    for clip, side in ((0, "left"), (3, "right")):
        start, frames = int(tracks.starts[clip]), shards.rows[clip]["frames"]
        turns = torch.eye(3).repeat(frames, 55, 1, 1)
        turns[:, 25:55] = hand_rotations(tracks.hands[start : start + frames])[:, :30]
        points = body.landmarks(f"hand21_{side}", turns)[:, 4::4]
        for t in range(frames - 2):
            for k in range(5):
                total += 1000 * float(
                    (points[t + 2, k] - 2 * points[t + 1, k] + points[t, k]).norm()
                )
                count += 1
    out = found(held, body, Oracle(held))
    expected = pytest.approx(total / count, rel=1e-4)
    assert out["hands-train-fingertips-jitter-real"].value == expected


def test_trembling_and_broken_fingers_are_seen(held, body) -> None:
    def tremble(hands, seed):
        own = torch.Generator().manual_seed(seed)
        return hands + 0.2 * torch.randn(hands.shape, generator=own)

    out = found(held, body, Oracle(held, tremble))
    assert out["hands-train-fingertips-jitter"].value > 3
    assert out["hands-train-fingertips-jitter"].passed is False
    assert out["hands-train-fingertips-spread-seeds"].value > 1
    back = rowwise_sixd(rotvec_to_matrix(torch.tensor((0.0, 0.0, 2.9)))).repeat(31)
    out = found(held, body, Oracle(held, lambda hands, seed: back.expand_as(hands)))
    assert out["hands-train-range"].value == 100 and out["hands-train-range"].passed is False
    assert out["hands-train-fingertips-spread-time"].value == pytest.approx(0, abs=1e-4)


def test_what_was_not_recorded_does_not_count(held, body) -> None:
    """Clip 0's right hand and clip 3's left one may be anything."""
    shards, tracks = held

    def spoil(hands, seed):
        known = tracks.known[0 if len(hands) == shards.rows[0]["frames"] else 3]
        other = torch.randn(hands.shape, generator=torch.Generator().manual_seed(seed))
        there = torch.cat([k.expand(n) for k, n in zip(known, (90, 90, 6), strict=True)])
        return torch.where(there, hands, other)

    plain, spoilt = (found(held, body, m) for m in (Oracle(held), Oracle(held, spoil)))
    assert {k: r.value for k, r in plain.items()} == pytest.approx(
        {k: r.value for k, r in spoilt.items()}, abs=1e-4
    )


def test_a_split_without_hands_says_so(held, body) -> None:
    (row,) = rows(Oracle(held), held, split="test", body=body)
    assert row.value is None and "no clip carries any" in row.what


def test_tips_of_both_sides_are_alike(body) -> None:
    turns = 0.3 * torch.randn(3, 55, 3, generator=torch.Generator().manual_seed(0))
    hands = hands_of(Motion.create(turns, torch.zeros(3, 3), fps=20))
    assert hands.shape == (3, HANDS_SIZE)
    places, swapped = tips(hands, body), tips(mirrored_hands(hands), body)
    # The body is symmetric to a millimetre.
    torch.testing.assert_close(swapped, places.flip(-3), atol=2e-3, rtol=0)
    degrees = jaw_degrees(hands)
    torch.testing.assert_close(degrees, turns[:, 22] * 180 / math.pi, atol=1e-3, rtol=0)
