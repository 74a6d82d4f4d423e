"""What of a training window is given."""

from __future__ import annotations

import torch

from humanmotion.generation.features import POSE, POSITIONS, SIZE, STEP, TRANSL, VELOCITIES
from humanmotion.jobs.generator_kept import drawn_kept


def asked(lengths: list[int], frames: int = 120) -> torch.Tensor:
    steps = torch.arange(frames)
    there = steps < torch.tensor(lengths)[:, None]
    return there[..., None].repeat(1, 1, SIZE)


def drawn(seed: int, lengths: list[int], share: float = 1.0) -> torch.Tensor:
    return drawn_kept(asked(lengths), share=share, generator=torch.Generator().manual_seed(seed))


def test_nothing_is_given_of_no_share() -> None:
    assert not drawn(0, [120, 60, 17], share=0).any()


def test_a_share_of_samples_has_something_given() -> None:
    found = torch.stack([drawn(s, [120] * 16, share=0.25).any(-1).any(-1) for s in range(40)])
    assert 0.2 < float(found.float().mean()) < 0.3


def test_what_is_given_is_asked_for_and_some_frame_is_open() -> None:
    lengths = [120, 60, 17]
    for seed in range(40):
        given, there = drawn(seed, lengths), asked(lengths)
        assert not bool((given & ~there).any())
        open_frames = there.any(-1) & ~given.all(-1)
        assert bool(open_frames.any(-1).all())


def test_changes_are_given_where_both_frames_are() -> None:
    seen = 0
    for seed in range(40):
        given = drawn(seed, [120] * 8)
        poses, changes = given[..., POSE.start], given[..., VELOCITIES.start]
        both = poses[:, :-1] & poses[:, 1:]
        torch.testing.assert_close(changes[:, :-1], both)
        assert not changes[:, -1].any()
        seen += int(both.any(-1).sum())
    assert seen


def test_of_a_path_places_on_the_floor_alone_are_given() -> None:
    paths = 0
    for seed in range(40):
        for given in drawn(seed, [120] * 8):
            if given[:, TRANSL.start].any() and not given[:, POSE.start].any():
                floor = [TRANSL.start, TRANSL.start + 1, POSITIONS.start, POSITIONS.start + 1]
                assert set(given.any(0).nonzero()[:, 0].tolist()) == set(floor)
                assert not given[:, STEP].any()
                paths += 1
    assert paths
