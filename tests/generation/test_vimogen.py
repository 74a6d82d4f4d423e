"""The network: published sizes, a hard gate by sample, null text, masks, and its file."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch

from humanmotion.diffusion.weights import load_network
from humanmotion.errors import FileFormatError, UsageError
from humanmotion.files import write_json, write_tensors
from humanmotion.generation.features import SIZE
from humanmotion.generation.vimogen import (
    PRESETS,
    REFERENCE,
    Condition,
    ViMoGen,
    ViMoGenConfig,
    frame_plan,
)

CONFIG = ViMoGenConfig(
    width=32, hidden=48, blocks=2, heads=2, reference_blocks=1, text_width=12, null_tokens=2
)
FRAMES = 9


def example(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def network() -> ViMoGen:
    """Of random weights everywhere: a new one says nothing but zeros."""
    torch.manual_seed(0)
    network = ViMoGen(CONFIG).eval().requires_grad_(False)
    for p in network.parameters():
        p.add_(0.2 * torch.randn_like(p))
    return network


def condition(rows: int = 4, *, seed: int = 1) -> Condition:
    """Text, text unknown, reference, reference."""
    mask = torch.arange(5) < torch.tensor([[5], [3], [4], [1]])
    return Condition(
        text=example(rows, 5, 12, seed=seed),
        text_mask=mask[:rows],
        dropped=torch.tensor([False, True, False, True])[:rows],
        referring=torch.tensor([False, False, True, True])[:rows],
        reference=example(rows, FRAMES, len(REFERENCE), seed=seed + 1),
        reference_mask=torch.ones(rows, FRAMES, dtype=torch.bool),
    )


def run(network, given, *, state=None, mask=None):
    state = example(len(given.text), FRAMES, SIZE) if state is None else state
    return network(state, torch.full((len(state),), 400.0), **vars(given), mask=mask)


class TestPublishedSizes:
    def test_reference_is_138_numbers_without_translation(self):
        assert len(REFERENCE) == 138 and max(REFERENCE) == 269

    def test_presets(self):
        sizes = {
            name: (c.width, c.blocks, c.heads, c.reference_blocks) for name, c in PRESETS.items()
        }
        assert sizes == {
            "tiny": (128, 4, 4, 2), "small": (256, 4, 4, 2), "medium": (384, 8, 6, 4),
            "base": (768, 12, 12, 6), "paper": (1536, 30, 12, 15),
        }  # fmt: skip
        assert PRESETS["paper"].hidden == 8960 and not PRESETS["paper"].text_mask

    def test_the_shipped_one_fits_its_place(self):
        with torch.device("meta"):
            network = ViMoGen(PRESETS["small"])
        numbers = sum(p.numel() for p in network.parameters())
        assert numbers > 6.5e6 and 2 * numbers < 14 * 2**20

    @pytest.mark.parametrize("change", [{"blocks": 0}, {"heads": 3}, {"null_tokens": 0}])
    def test_sizes_that_cannot_be(self, change):
        with pytest.raises(ValueError, match="must"):
            replace(CONFIG, **change)


class TestGate:
    def test_a_sample_that_refers_does_not_see_its_text_and_the_other_way_round(self, network):
        given, other = condition(), condition(seed=50)
        text = run(network, replace(given, text=other.text)) != run(network, given)
        reference = run(network, replace(given, reference=other.reference)) != run(network, given)
        assert text.flatten(1).any(1).tolist() == [True, False, False, False]
        assert reference.flatten(1).any(1).tolist() == [False, False, True, True]

    def test_samples_do_not_see_each_other(self, network):
        given, state = condition(), example(4, FRAMES, SIZE)
        together = run(network, given, state=state)
        for i in range(4):
            fields = {
                k: v[i : i + 1] for k, v in vars(given).items() if isinstance(v, torch.Tensor)
            }
            alone = run(network, Condition(**fields), state=state[i : i + 1])
            torch.testing.assert_close(alone[0], together[i], atol=2e-5, rtol=1e-5)

    def test_referring_to_nothing(self, network):
        with pytest.raises(UsageError, match=r"samples \[2, 3\] refer to a motion"):
            network.context(replace(condition(), reference=None))

    def test_nobody_needs_a_reference_who_does_not_refer(self, network):
        given = condition(2)
        without = replace(given, reference=None, reference_mask=None)
        torch.testing.assert_close(run(network, without), run(network, given), atol=0, rtol=0)


class TestText:
    def test_null_text_is_one_whatever_the_text(self, network):
        given = condition()
        unknown = torch.ones(4, dtype=torch.bool)
        a, b = (run(network, replace(c, dropped=unknown))[:2] for c in (given, condition(seed=70)))
        torch.testing.assert_close(a, b, atol=0, rtol=0)

    def test_padding_of_texts_is_left_out(self, network):
        given = condition()
        padded = given.text.masked_fill(~given.text_mask[..., None], 9.0)
        assert torch.equal(run(network, replace(given, text=padded)), run(network, given))

    def test_a_text_shorter_than_the_null_text(self, network):
        given = condition(2)
        short = replace(given, text=given.text[:, :1], text_mask=given.text_mask[:, :1])
        assert torch.isfinite(run(network, short)).all()

    def test_without_a_mask_padding_counts_as_published(self):
        torch.manual_seed(0)
        network = ViMoGen(replace(CONFIG, text_mask=False)).eval().requires_grad_(False)
        torch.nn.init.normal_(network.head.head.weight)
        given = condition(2)
        padded = given.text.masked_fill(~given.text_mask[..., None], 9.0)
        changed = run(network, replace(given, text=padded)) != run(network, given)
        # The second sample's text is not known, and its own first text fills all five places.
        assert changed.flatten(1).any(1).tolist() == [False, False]
        longer = replace(
            given, text=torch.nn.functional.pad(given.text, (0, 0, 0, 2), value=9.0),
            text_mask=torch.nn.functional.pad(given.text_mask, (0, 2)),
        )  # fmt: skip
        assert (run(network, longer) != run(network, given)).flatten(1).any(1).tolist()[0]

    def test_parts_of_another_batch(self):
        with pytest.raises(UsageError, match="one batch"):
            replace(condition(), dropped=torch.zeros(3, dtype=torch.bool))


class TestMasks:
    def test_frames_behind_the_end_change_nothing(self, network):
        state, mask = example(4, FRAMES, SIZE), (torch.arange(FRAMES) < 6).expand(4, -1)
        other = torch.where(mask[..., None], state, 5.0)
        given = replace(condition(), reference_mask=mask)
        far = replace(given, reference=torch.where(mask[..., None], given.reference, 5.0))
        a = run(network, given, state=state, mask=mask)[:, :6]
        b = run(network, far, state=other, mask=mask)[:, :6]
        torch.testing.assert_close(a, b, atol=0, rtol=0)

    def test_a_context_kept_over_steps_is_the_condition(self, network):
        given, state = condition(), example(4, FRAMES, SIZE)
        context, plan = network.context(given), frame_plan(FRAMES)
        for time in (0.0, 500.0, 1000.0):
            times = torch.full((4,), time)
            found = network.velocity(state, times, context, plan=plan)
            want = network(state, times, **vars(given))
            torch.testing.assert_close(found, want, atol=0, rtol=0)
        assert plan.report().calls == 9 and plan.report().dense_calls == 9


def test_statistics_go_both_ways(network) -> None:
    network = ViMoGen(CONFIG)
    network.mean.copy_(example(SIZE)), network.spread.copy_(example(SIZE).abs() + 0.1)
    features = example(2, 3, SIZE, seed=4)
    torch.testing.assert_close(network.restored(network.normalised(features)), features)


def test_a_new_network_expects_nothing_and_learns_everywhere() -> None:
    """Each parameter gets a gradient once the head is not zero."""
    torch.manual_seed(0)
    network = ViMoGen(CONFIG)
    assert not run(network, condition()).any()
    torch.nn.init.normal_(network.head.head.weight)
    run(network, condition()).square().sum().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # The norm of keys is blind to what all keys share.
    assert [n for n in silent if not n.endswith(".k.bias")] == []


class TestFile:
    def write(self, folder, network):
        path = folder / "generator.safetensors"
        write_tensors(path, network.state_dict())
        write_json(path.with_suffix(".json"), asdict(network.config))
        return path

    def load(self, path):
        return load_network(path, lambda **x: ViMoGen(ViMoGenConfig(**x)), what="generator")

    def test_round_trip(self, network, tmp_path):
        again = self.load(self.write(tmp_path, network))
        assert again.config == CONFIG
        torch.testing.assert_close(run(again, condition()), run(network, condition()))

    def test_weights_of_other_sizes(self, network, tmp_path):
        path = self.write(tmp_path, network)
        write_json(path.with_suffix(".json"), asdict(PRESETS["tiny"]))
        with pytest.raises(FileFormatError, match="is no generator of this version"):
            self.load(path)


class TestTextAlone:
    """Without blocks for a reference: ViMoGen-light's network."""

    def light(self) -> ViMoGen:
        torch.manual_seed(0)
        sizes = ViMoGenConfig(
            width=16, hidden=16, blocks=2, heads=2, reference_blocks=0, text_width=6
        )
        made = ViMoGen(sizes).eval()
        torch.nn.init.normal_(made.head.head.weight, std=0.1)
        return made

    def condition(self, *, referring: bool) -> Condition:
        yes, no = torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool)
        text = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(1))
        reference = torch.zeros(2, 5, 138)
        return Condition(text, yes[:, None].expand(2, 3), no, yes if referring else no, reference)

    def test_has_nothing_that_reads_a_motion(self):
        assert not any("reference" in name for name, _ in self.light().named_parameters())

    def test_says_what_the_full_network_says_of_text(self):
        light = self.light()
        full = ViMoGen(replace(light.config, reference_blocks=1)).eval()
        full.load_state_dict(light.state_dict(), strict=False)
        state = torch.randn(2, 5, 276, generator=torch.Generator().manual_seed(2))
        parts = vars(self.condition(referring=False))
        time = torch.tensor([100.0, 900.0])
        with torch.no_grad():
            assert torch.equal(light(state, time, **parts), full(state, time, **parts))

    def test_a_reference_is_told_where_it_belongs(self):
        with pytest.raises(UsageError, match="give it to the full model"):
            self.light().context(self.condition(referring=True))


class TestPredictedData:
    """The same weights, read as data: one step from any level to 0 is what the last layer says."""

    def test_the_velocity_leads_to_the_data(self, network):
        other = ViMoGen(replace(CONFIG, predicts="data")).eval()
        other.load_state_dict(network.state_dict())
        given, state = condition(), example(4, FRAMES, SIZE, seed=5)
        data, velocity = (run(n, given, state=state) for n in (network, other))
        torch.testing.assert_close(state - 0.4 * velocity, data, atol=1e-4, rtol=1e-4)

    def test_errors_count_alike_near_data_and_as_published_beyond(self):
        config = replace(CONFIG, predicts="data")
        sigma = torch.tensor([0.01, 0.1, 0.25, 0.6, 1.0])
        of_data = config.counted(sigma) / sigma**2
        torch.testing.assert_close(of_data[:3], torch.full((3,), 16.0))
        assert config.counted(sigma)[2:].tolist() == [1.0, 1.0, 1.0]
        assert CONFIG.counted(sigma).tolist() == [1.0] * 5

    def test_anything_else_is_refused(self):
        with pytest.raises(ValueError, match="'noise'"):
            replace(CONFIG, predicts="noise")


class TestPredictedResidual:
    def test_the_velocity_leads_to_the_linear_guess_and_what_it_lacks(self, network):
        """Karras et al. 2022, eq. 7, in levels: data are c_skip x + c_out F."""
        other = ViMoGen(replace(CONFIG, predicts="residual")).eval()
        other.load_state_dict(network.state_dict())
        given, state = condition(), example(4, FRAMES, SIZE, seed=5)
        said, velocity = (run(n, given, state=state) for n in (network, other))
        level = 0.4
        variance = (1 - level) ** 2 + level**2
        data = (1 - level) / variance * state + level / variance**0.5 * said
        torch.testing.assert_close(state - level * velocity, data, atol=1e-4, rtol=1e-4)

    def test_the_linear_guess_is_the_best_where_noise_and_data_are_alike(self):
        """Of Gaussian data of variance 1 nothing is left that a network could know."""
        generator = torch.Generator().manual_seed(0)
        data, noise = torch.randn(2, 200_000, generator=generator)
        state = 0.7 * data + 0.3 * noise
        left = (data - 0.7 / 0.58 * state) / (0.3 / 0.58**0.5)
        assert abs(float((left * state).mean())) < 0.01
        assert float(left.var()) == pytest.approx(1, abs=0.01)


class TestNoise:
    def test_white_weights_hold_no_spectra(self, network):
        assert "spectra" not in network.state_dict() and network.noise.spectra is None

    def test_spectra_go_with_the_weights(self):
        config = replace(CONFIG, noise="motion")
        one, two = ViMoGen(config), ViMoGen(config)
        one.spectra.copy_(example(*one.spectra.shape, seed=3).abs())
        two.load_state_dict(one.state_dict())
        assert torch.equal(two.noise.spectra, one.spectra)

    def test_anything_else_is_refused(self):
        with pytest.raises(ValueError, match="noise is 'pink'"):
            replace(CONFIG, noise="pink")
