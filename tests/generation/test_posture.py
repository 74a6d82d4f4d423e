"""Postures of a prompt and calm joins: what is odd is told, and the least odd window is taken."""

from __future__ import annotations

import pytest
import torch

from humanmotion.generation import streaming
from humanmotion.generation.cleanup import cleaned
from humanmotion.generation.features import JOINTS, POSITIONS, SIZE, features_of, motion_of
from humanmotion.generation.posture import BLUR, LAST, Postures
from humanmotion.generation.sampling import Sampling
from humanmotion.generation.streaming import stream
from humanmotion.motion import concat


def standing(seed: int, *, frames: int = 60, lower: float = 0.0) -> torch.Tensor:
    """Features of heights that are 3 cm off here and there, `lower` metres lower in the end."""
    g = torch.Generator().manual_seed(seed)
    out = torch.zeros(frames, SIZE)
    sway = 0.03 * torch.randn(frames, JOINTS, generator=g)
    down = lower * torch.linspace(0, 1, frames)[:, None]
    out[:, range(POSITIONS.start + 2, POSITIONS.stop, 3)] = (
        torch.linspace(0.1, 1.6, JOINTS) + sway - down
    )
    return out


def test_what_is_like_the_samples_is_within_the_limit_and_what_sinks_is_odder_and_odder() -> None:
    postures = Postures.of([standing(k) for k in range(6)])
    odd = [postures.oddness(standing(9, lower=lower)) for lower in (0.0, 0.2, 0.4, 0.8)]
    assert odd[0] < 1.2 and odd[1] > 1 and odd == sorted(odd)
    # None of what the samples themselves are judged by is beyond the limit; one is at it.
    own = max(postures.oddness(standing(k)[30:]) for k in range(6))
    assert own == pytest.approx(1) or own < 1


def test_where_it_lies_does_not_count_and_a_second_in_the_middle_does() -> None:
    postures = Postures.of([standing(k) for k in range(6)])
    one = standing(7)
    away = one.clone()
    away[:, [POSITIONS.start, POSITIONS.start + 1]] += 5.0
    assert postures.oddness(away) == pytest.approx(postures.oddness(one))
    for first in (0, 20, 40):
        low = one.clone()
        low[first : first + LAST] -= 1.0
        assert postures.oddness(low) > 10 * postures.oddness(one)
    # Fewer frames than that are judged as one.
    assert postures.oddness(one[:3]) > 0


@pytest.mark.parametrize("join", [9, 10, 19, 20])
def test_a_window_is_judged_with_planted_feet_and_its_join_on_a_frame(
    make, body, monkeypatch, join
) -> None:
    """At 30 fps a frame lies on every other one at 20 fps: the join is to be one of them."""
    told = {}
    monkeypatch.setattr(
        streaming,
        "acceleration_peaks",
        lambda joints, frames, **k: (told.update(joints=joints, frames=frames, **k), [3.0])[1],
    )
    features = features_of(make("a", seconds=4.0, steps=1)[0], body)
    assert streaming._jerk(body, features, join=join) == 3.0 / streaming.CALM
    seen = cleaned(motion_of(features[join % 2 :], body).resample(30.0), body)
    assert told["frames"] == [3 * (join // 2)] and told["fps"] == 30
    assert torch.equal(told["joints"], body.joints_of(seen)[:, :JOINTS])


def test_where_all_samples_are_alike_a_blur_is_not_odd() -> None:
    one = torch.zeros(60, SIZE)
    postures = Postures.of([one] * 3)
    heights = list(range(POSITIONS.start + 2, POSITIONS.stop, 3))
    some, much = one.clone(), one.clone()
    some[:, heights[:5]] += BLUR
    much[:, heights] += 2 * BLUR
    assert postures.oddness(one) == 0 and postures.oddness(some) < 1 < postures.oddness(much)


def test_a_first_piece_needs_one_window_and_a_prompt_that_comes_back_is_known(
    make, monkeypatch
) -> None:
    made: list[str] = []
    own_window, own_postures = streaming.window, streaming._postures
    monkeypatch.setattr(
        streaming, "window", lambda *a, **k: (made.append("window"), own_window(*a, **k))[1]
    )
    monkeypatch.setattr(
        streaming,
        "_postures",
        lambda m, text, **k: (made.append(text), own_postures(m, text, **k))[1],
    )
    pieces = stream(make, ["a", "b", "a"], seconds=3.0, steps=1)
    next(pieces)
    assert made == ["window"]
    list(pieces)
    assert [x for x in made if x != "window"] == ["b", "a"]
    made.clear()
    list(stream(make, ["a", "b", "a", "b"], seconds=3.0, steps=1))
    assert [x for x in made if x != "window"] == ["b", "a"]


def test_the_first_window_that_is_within_its_limits_is_taken_else_the_least_odd(
    make, monkeypatch
) -> None:
    """Windows of made-up oddness; each is told by the frames it has."""
    asked: list[int] = []
    bold: list[bool] = []

    def made_up(*_: object, seed: int, sampling: Sampling, **__: object) -> torch.Tensor:
        asked.append(seed)
        bold.append(sampling.doubt > 1)
        return torch.full((100, SIZE), float(len(asked)))

    class MadeUp:
        def __init__(self, odd: list[float]) -> None:
            self.odd = odd

        def oddness(self, features: torch.Tensor) -> float:
            return self.odd[int(features[0, 0]) - 1]

    monkeypatch.setattr(streaming, "window", made_up)
    held = torch.zeros(streaming.KEPT, SIZE)
    joins: list[int] = []
    monkeypatch.setattr(streaming, "_jerk", lambda *_, join, **__: joins.append(join) or 0.0)
    for odd, taken, count in (
        ([0.5, 0.1], 1, 1), ([3.0, 0.9, 0.1], 2, 2), ([3.0, 1.5, 2.0, 4.0], 2, 4),
    ):  # fmt: skip
        asked.clear()
        bold.clear()
        found = streaming._accepted(
            make, None, held, seed=5, sampling=make.sampling, postures=MadeUp(odd), judged=20
        )
        assert len(found) == streaming.KEPT + streaming.CHUNK
        assert float(found[0, 0]) == taken and len(asked) == count
        # A generator on the CPU looks at 32 bits of its seed.
        assert len({seed % 2**32 for seed in asked}) == count
        assert set(joins) == {streaming.KEPT - 1}
        # In the end hints are no longer doubted.
        assert bold == [True, True, False, False][:count]


def test_who_goes_over_to_a_prompt_is_judged_by_the_end_alone(make, monkeypatch) -> None:
    judged: list[int] = []
    own = Postures.oddness
    monkeypatch.setattr(
        Postures, "oddness", lambda self, f: (judged.append(len(f)), own(self, f))[1]
    )
    monkeypatch.setattr(streaming, "TRIES", 1)
    list(stream(make, ["a", "b"], seconds=9.0, steps=1))
    assert judged == [streaming.CHUNK] * 2 + [LAST] + [streaming.CHUNK] * 2


def test_half_a_minute_ends_as_it_begins(body) -> None:
    """The shipped weights, asked for a dance: without the limits one in three lies down."""
    from humanmotion.generation.sampler import TextToMotion

    motion = concat(list(stream(TextToMotion.from_pretrained(), "a person dances salsa",
                                seconds=30.0, seed=11)))  # fmt: skip
    pelvis = body.joints_of(motion)[:, 0, 2]
    assert float(pelvis[-150:].mean()) > 0.85 * float(pelvis[:150].mean())
