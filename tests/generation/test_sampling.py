"""Sampling against its formulas written out sample by sample, and what must come out as given."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from humanmotion.attention import AttentionPlan, MotionGrid, RainFusion2, Schedule, TokenLayout
from humanmotion.diffusion.flow import Flow
from humanmotion.diffusion.noise import Noise
from humanmotion.errors import UsageError
from humanmotion.generation.features import REFERENCE, SIZE
from humanmotion.generation.hints import Hints, Kept, hints_of_kept, hints_of_reference
from humanmotion.generation.sampling import (
    JOINED,
    REFERENCE_POWER,
    Sampling,
    _doubted,
    drawn_features,
    hinted,
    noise_of,
    sampled,
    smoothed,
    trusting,
)
from humanmotion.generation.vimogen import Condition, ViMoGen, ViMoGenConfig

CONFIG = ViMoGenConfig(
    width=32, hidden=48, blocks=2, heads=2, reference_blocks=1, text_width=12, null_tokens=2
)
FRAMES = 24


@pytest.fixture(scope="module")
def network() -> ViMoGen:
    torch.manual_seed(0)
    network = ViMoGen(CONFIG).eval().requires_grad_(False)
    torch.nn.init.normal_(network.head.head.weight, std=0.1)
    return network


def condition() -> Condition:
    generator = torch.Generator().manual_seed(1)
    return Condition(
        text=torch.randn(3, 5, 12, generator=generator),
        text_mask=torch.arange(5) < torch.tensor([[5], [3], [4]]),
        dropped=torch.zeros(3, dtype=torch.bool),
        referring=torch.tensor([False, False, True]),
        reference=torch.randn(3, FRAMES, len(REFERENCE), generator=generator),
    )


NOISE = noise_of(Noise(), [4, 5, 6], [FRAMES] * 3)


def slow_sampled(network, given, noise, *, steps, guidance, heun=False):
    """One sample at a time, with a call for each half."""
    out = []
    for i in range(len(noise)):
        own = {k: v[i : i + 1] for k, v in vars(given).items() if v is not None}

        def velocity(x, sigma, own=own):
            time = torch.tensor([1000 * sigma])
            asked = network(x, time, **own)
            if own["referring"]:
                return asked
            free = network(x, time, **{**own, "dropped": torch.tensor([True])})
            return free + guidance * (asked - free)

        x = noise[i : i + 1]
        us = [0.7 * (1 - k / steps) for k in range(steps + 1)]
        sigmas = [5 * u / (1 + 4 * u) for u in us]
        for here, there in pairwise(sigmas):
            v = velocity(x, here)
            if heun and there > 0:
                v = (v + velocity(x + (there - here) * v, there)) / 2
            x = x + (there - here) * v
        out.append(x[0])
    return torch.stack(out)


@pytest.mark.parametrize("guidance", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_agrees_with_the_formulas(network, guidance, solver) -> None:
    sampling = Sampling(steps=4, guidance=guidance, solver=solver)
    found = sampled(network, condition(), NOISE, sampling=sampling)
    want = slow_sampled(
        network, condition(), NOISE, steps=4, guidance=guidance, heun=solver == "heun"
    )
    torch.testing.assert_close(found, want, atol=1e-4, rtol=1e-4)


def test_a_shorter_motion_in_a_batch_is_as_if_alone(network) -> None:
    noise = noise_of(Noise(), [4, 5], [FRAMES, 15])
    given = condition()
    texts = {k: getattr(given, k)[:2] for k in ("text", "text_mask", "dropped", "referring")}
    mask = torch.arange(FRAMES) < torch.tensor([[FRAMES], [15]])
    both = sampled(network, Condition(**texts), noise, mask=mask)
    alone = sampled(
        network, Condition(**{k: v[1:] for k, v in texts.items()}), noise_of(Noise(), [5], [15])
    )
    torch.testing.assert_close(both[1, :15], alone[0], atol=1e-4, rtol=1e-4)


def test_noise_depends_on_nothing_but_its_seed() -> None:
    a, b = noise_of(Noise(), [7], [31]), noise_of(Noise(), [1, 7], [90, 31])
    assert torch.equal(a[0], b[1, :31]) and not b[1, 31:].any()
    assert not torch.equal(a[0], noise_of(Noise(), [8], [31])[0])


class TestKept:
    def kept(self):
        generator = torch.Generator().manual_seed(3)
        mask = torch.rand(3, FRAMES, SIZE, generator=generator) < 0.3
        return Kept(torch.randn(3, FRAMES, SIZE, generator=generator), mask)

    def test_come_out_exactly(self, network):
        kept = self.kept()
        found = sampled(network, condition(), NOISE, kept=kept)
        assert torch.equal(found[kept.mask], kept.values[kept.mask])

    def test_change_the_rest(self, network):
        kept = self.kept()
        free = sampled(network, condition(), NOISE)
        found = sampled(network, condition(), NOISE, kept=kept)
        assert float((found - free)[~kept.mask].abs().mean()) > 1e-3

    def test_are_seen_as_noisy_as_the_rest(self, network):
        """What the network is shown of them lies on the straight path to their noise."""
        seen = []

        class Listening(ViMoGen):
            def velocity(self, state, time, context, **rest):
                seen.append((float(time[0]) / 1000, state))
                return super().velocity(state, time, context, **rest)

        listening = Listening(CONFIG).eval().requires_grad_(False)
        listening.load_state_dict(network.state_dict())
        kept = self.kept()
        sampled(listening, condition(), NOISE, kept=kept, sampling=Sampling(guidance=1.0))
        assert len(seen) == 10
        for sigma, state in seen:
            want = (1 - sigma) * kept.values + sigma * NOISE
            torch.testing.assert_close(state[kept.mask], want[kept.mask], atol=1e-5, rtol=0)

    def test_nothing_kept_is_free(self, network):
        nothing = replace(self.kept(), mask=torch.zeros(3, FRAMES, SIZE, dtype=torch.bool))
        found = sampled(network, condition(), NOISE, kept=nothing)
        assert torch.equal(found, sampled(network, condition(), NOISE))


def test_a_plan_with_a_schedule_is_told_the_steps(network) -> None:
    """With sparse attention forced on, the first half of the steps stays dense."""
    layout = TokenLayout.of(MotionGrid(FRAMES, 1))
    plan = AttentionPlan(layout, RainFusion2(block=(8, 8), sparsity=0.5), backend="gather",
                         schedule=Schedule(10, dense_first=0.5))  # fmt: skip
    found = sampled(network, condition(), NOISE, plan=plan)
    report = plan.report()
    assert report.calls == 30 and report.dense_calls == 15
    dense = sampled(network, condition(), NOISE)
    assert 0 < float((found - dense).abs().max()) < 1


class TestSmoothing:
    @pytest.mark.parametrize("width", [1.0, 1.5])
    @pytest.mark.parametrize("shape", [(9,), (2, 30), (1, 2, 5)])
    def test_agrees_with_a_loop(self, shape, width):
        features = torch.randn(*shape, 4, generator=torch.Generator().manual_seed(0))
        half, last = round(2 * width), shape[-1] - 1
        weights = [math.exp(-0.5 * (k / width) ** 2) for k in range(-half, half + 1)]

        def at(t):
            if t < 0:
                return 2 * features[..., 0, :] - features[..., -t, :]
            if t > last:
                return 2 * features[..., last, :] - features[..., 2 * last - t, :]
            return features[..., t, :]

        want = torch.stack(
            [sum(w * at(t + k - half) for k, w in enumerate(weights)) / sum(weights)
             for t in range(last + 1)], -2,
        )  # fmt: skip
        torch.testing.assert_close(smoothed(features, width), want, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("frames", [1, 2])
    def test_the_shortest_stay_as_they_are(self, frames):
        features = torch.randn(frames, 3)
        assert torch.equal(smoothed(features), features)
        assert torch.equal(smoothed(features, 0), features)

    def test_lines_stay_lines(self):
        line = torch.arange(20.0)[:, None] * torch.tensor((1.0, -2.0)) + 3
        torch.testing.assert_close(smoothed(line), line)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "1 to 1000 steps"),
        ({"steps": 5000}, "1 to 1000 steps"),
        ({"start": 0.0}, r"a level in \(0, 1\]"),
        ({"guidance": -1.0}, "from 0 to 100"),
        ({"smoothing": 3.0}, "0 to 2 frames"),
        ({"guidance": float("nan")}, "from 0 to 100"),
        ({"doubt": 0.5}, "1 or more"),
        ({"solver": "rk4"}, 'give "euler" or "heun"'),
    ],
)
def test_sampling_that_cannot_be(change, message) -> None:
    with pytest.raises(UsageError, match=message):
        Sampling(**change)


@pytest.fixture(scope="module")
def hinted_network() -> ViMoGen:
    torch.manual_seed(0)
    config = replace(CONFIG, predicts="residual", noise="motion", shift=1.0, hints=True)
    network = ViMoGen(config).eval().requires_grad_(False)
    power = 1 / (1 + torch.arange(33.0) ** 4)
    network.get_buffer("spectra").copy_(power[:, None].expand(-1, SIZE))
    return network


CALM = Sampling(steps=3, start=1.0, guidance=2.0, smoothing=1.75)


def test_without_hints_what_is_drawn_is_what_is_sampled_smoothed(network) -> None:
    drawn = drawn_features(network, condition(), NOISE, sampling=CALM)
    raw = network.restored(sampled(network, condition(), NOISE, sampling=CALM))
    torch.testing.assert_close(drawn.features, smoothed(raw, CALM.smoothing), atol=1e-5, rtol=1e-5)
    assert drawn.sure is None


def test_padding_is_not_smoothed_in(network) -> None:
    mask = torch.arange(FRAMES) < torch.tensor([[FRAMES], [15], [9]])
    drawn = drawn_features(network, condition(), NOISE, sampling=CALM, mask=mask).features
    raw = network.restored(sampled(network, condition(), NOISE, sampling=CALM, mask=mask))
    for row, end in enumerate((FRAMES, 15, 9)):
        want = smoothed(raw[row, :end], CALM.smoothing)
        torch.testing.assert_close(drawn[row, :end], want, atol=1e-5, rtol=1e-5)


def test_an_untrained_network_gives_back_what_is_known(hinted_network) -> None:
    """Its last layer says nothing: what is left is the guess, and the noise that goes with it."""
    given = condition()
    noise = torch.zeros(3, FRAMES, SIZE)
    drawn = drawn_features(hinted_network, given, noise, sampling=CALM)
    known = hints_of_reference(given.reference).trusted(REFERENCE_POWER)
    values = hinted_network.normalised(drawn.features)[2]
    torch.testing.assert_close(
        values[:, REFERENCE], known.values[2][:, REFERENCE], atol=0.15, rtol=0
    )
    assert drawn.sure is not None
    torch.testing.assert_close(drawn.sure[2], 1 - known.variance[2])
    assert not drawn.sure[:2].any()


def test_frames_beside_kept_ones_go_on_from_them(hinted_network) -> None:
    mask = torch.zeros(1, FRAMES, SIZE, dtype=torch.bool)
    mask[:, :8] = True
    kept = Kept(3 * torch.ones(1, FRAMES, SIZE), mask)
    own = condition()
    one = Condition(own.text[:1], own.text_mask[:1], own.dropped[:1], own.referring[:1])
    found = sampled(hinted_network, one, 0 * kept.values, sampling=CALM, kept=kept)
    want = hints_of_kept(hinted_network.noise, kept).values
    assert float(want[:, 8].mean()) > 2
    torch.testing.assert_close(found, want, atol=0.05, rtol=0)


def test_hints_that_say_nothing_change_nothing(hinted_network) -> None:
    own = condition()
    one = Condition(own.text[:1], own.text_mask[:1], own.dropped[:1], own.referring[:1])
    nothing = Kept(NOISE[:1], torch.zeros(1, FRAMES, SIZE, dtype=torch.bool))
    free = sampled(hinted_network, one, NOISE[:1], sampling=CALM)
    torch.testing.assert_close(
        sampled(hinted_network, one, NOISE[:1], sampling=CALM, kept=nothing), free
    )


def test_a_shift_is_that_of_the_levels_whatever_the_network_was_trained_on(network) -> None:
    flow = network.config.flow
    own, other = Sampling(steps=4), Sampling(steps=4, shift=3.0)
    assert own.levels(flow) == flow.levels(4) and other.levels(flow) == Flow(3.0).levels(4)
    drawn = [sampled(network, condition(), NOISE, sampling=x) for x in (own, other)]
    assert not torch.allclose(*drawn)
    same = sampled(network, condition(), NOISE, sampling=Sampling(steps=4, shift=flow.shift))
    assert torch.equal(same, drawn[0])
    for bad in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(UsageError, match="shift"):
            Sampling(shift=bad)


def test_references_are_read_of_samples_that_refer_alone() -> None:
    given = condition()
    hints = hinted(given, None).hints
    assert hints is not None
    assert not bool(hints.values[:2].any()) and bool((hints.variance[:2] == 1).all())
    alone = hints_of_reference(given.reference[2:])
    torch.testing.assert_close(hints.values[2:], alone.values)
    torch.testing.assert_close(hints.variance[2:], alone.variance)
    assert hinted(replace(given, referring=torch.zeros(3, dtype=torch.bool)), None).hints is None


def test_hints_beyond_kept_frames_are_doubted_the_farther_the_more() -> None:
    """Each frame as it lies from the nearest kept one; what nothing is kept of stays unknown."""
    g = torch.Generator().manual_seed(0)
    variance = torch.rand(1, 40, 3, generator=g)
    variance[..., 2] = 1
    mask = torch.zeros(1, 40, 3, dtype=torch.bool)
    mask[:, 15:20, :2] = True
    hints = Hints(torch.randn(1, 40, 3, generator=g), variance)
    found = _doubted(hints, mask, power=1.75)
    assert torch.equal(found.values, hints.values)
    for frame in range(40):
        away = max(15 - frame, frame - 19, 0)
        share = min(max((away - JOINED[0]) / (JOINED[1] - JOINED[0]), 0), 1)
        wanted = 1 - (1 - variance[0, frame]) ** (1 + 0.75 * share)
        assert torch.allclose(found.variance[0, frame], wanted, atol=1e-6)
    assert (found.variance >= variance - 1e-6).all() and (found.variance[..., 2] == 1).all()
    mask[:, [0, 39], :2] = True
    nowhere = _doubted(hints, mask, power=1.75)
    assert torch.equal(nowhere.variance, variance)
    torch.testing.assert_close(_doubted(hints, mask, power=1.0).variance, variance)


def test_what_goes_on_from_kept_frames_is_doubted_as_far_as_it_is_asked(hinted_network) -> None:
    """And moves more for it, far from them; beside them it does not."""
    mask = torch.zeros(1, FRAMES, SIZE, dtype=torch.bool)
    mask[:, :8] = True
    kept = Kept(torch.randn(1, FRAMES, SIZE, generator=torch.Generator().manual_seed(1)), mask)
    plain = hints_of_kept(hinted_network.noise, kept)
    told = [trusting(hinted_network.noise, kept, doubt=power) for power in (1.0, 1.75)]
    torch.testing.assert_close(told[0].variance, plain.variance)
    assert (told[1].variance[:, 8 + JOINED[0] :] > plain.variance[:, 8 + JOINED[0] :]).all()
    noise = torch.randn(1, FRAMES, SIZE, generator=torch.Generator().manual_seed(2))
    text = replace(condition(), reference=None)
    one = Condition(*(v[:1] for v in (text.text, text.text_mask, text.referring, text.dropped)))
    drawn = [
        sampled(hinted_network, one, noise, sampling=replace(CALM, doubt=power), kept=kept)
        for power in (1.0, 1.75)
    ]
    spread = [(d - plain.values)[0, 9:].square().mean(-1) for d in drawn]
    assert (spread[1] >= spread[0] - 1e-6).all() and (spread[1][6:] > spread[0][6:]).all()
