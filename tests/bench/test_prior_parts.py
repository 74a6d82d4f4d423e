"""The table of whole bodies on networks whose answer is known."""

from __future__ import annotations

import pytest
import torch

from humanmotion.bench.prior_methods import trained_methods
from humanmotion.bench.prior_parts import (
    CONFIG,
    HiddenHand,
    alone_error,
    cost_rows,
    part_losses,
    part_rows,
)
from humanmotion.diffusion.paths import SUB_VP
from humanmotion.jobs import baseline_weights
from humanmotion.jobs.baseline_weights import NETWORKS, read_whitened, write_baseline
from humanmotion.jobs.prior_data import PoseSet
from humanmotion.prior.published import Normaliser, PublishedPrior, expected_clean
from humanmotion.prior.published_networks import FusedNetwork, PartNetworks, PublishedConfig
from humanmotion.prior.space import SIZE, TOKENS, token_mask
from humanmotion.rotations import rotvec_to_matrix

SMALL = PublishedConfig(width=32, clock=16, fusion_width=32, fusion_clock=16)
NUMBERS = sum(CONFIG.sizes)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def normaliser(deviation=0.2):
    size = torch.full((NUMBERS,), deviation)
    return Normaliser(torch.zeros(NUMBERS), size, torch.ones(NUMBERS))


def knows_nothing():
    return PublishedPrior(lambda x, t: torch.zeros_like(x), normaliser())


@pytest.fixture(scope="module")
def task():
    count = 6
    recorded = torch.ones(count, TOKENS, dtype=torch.bool)
    recorded[:, -1] = False
    poses = PoseSet(0.3 * normal(count, 54, 3), torch.zeros(count, 10), recorded,
                    torch.zeros(count, dtype=torch.long), ("a",))  # fmt: skip
    return HiddenHand.draw(poses, poses=count)


class TestHiddenHand:
    def test_either_hand_is_hidden_with_its_wrist_and_nothing_else(self, task) -> None:
        hands = [token_mask(f"{side}_hand", f"{side}_wrist") for side in ("left", "right")]
        which = [[bool((row == hand).all()) for hand in hands] for row in task.hidden]
        assert all(sum(row) == 1 for row in which)
        assert len({tuple(row) for row in which}) == 2
        assert not (task.known & (task.hidden | token_mask("eyes", "expression"))).any()

    def test_the_hidden_hand_is_placed_by_the_given_turns_and_the_rest_by_the_truth(self, task):
        other = rotvec_to_matrix(normal(6, 54, 3, seed=1))
        kept = torch.where(task.hidden[:, :-1, None, None], task.poses.rotations, other)
        assert torch.allclose(task.placed(kept[None])[0], task.truth, atol=1e-6)
        turned = torch.where(task.hidden[:, :-1, None, None], other, task.poses.rotations)
        placed = task.placed(turned[None])[0]
        assert float((placed - task.truth).norm(dim=-1).amax(-1).min()) > 0.01
        # The slow way: one pose, one side.
        full = torch.cat((torch.eye(3)[None], turned[0]))
        start = 25 if task.hidden[0, 24] else 40
        assert torch.allclose(task.body.joints(full)[start : start + 15], placed[0], atol=1e-6)

    def test_a_prior_that_takes_everything_for_noise_completes_with_its_mean(self, task) -> None:
        """Its clean pose is always zero, so hidden joints go there and known ones stay."""
        prior = PublishedPrior(lambda x, t: x / SUB_VP.sigma(t), normaliser())
        turned = task.poses.rotations.clone()
        turned[task.hidden[:, :-1]] = torch.eye(3)
        found = task.published(prior)
        assert found.shape == (10, 6, 15, 3)
        assert float((found - task.placed(turned[None])).norm(dim=-1).mean()) < 0.02


class TestAlone:
    def test_without_knowledge_the_error_is_the_noise(self) -> None:
        seen = torch.ones(4000, 45)
        found = alone_error(knows_nothing(), 0.3 * normal(4000, 45), seen,
                            part="right_hand", level=0.5)  # fmt: skip
        # The mean length of three standard normal numbers is 1.596.
        wanted = torch.tensor(0.5 * 0.2 * 1.596).rad2deg()
        assert found == pytest.approx(float(wanted), rel=0.01)

    def test_a_fused_network_is_shown_that_part_alone(self) -> None:
        torch.manual_seed(0)
        network = FusedNetwork(PartNetworks(SMALL))
        torch.nn.init.normal_(network.last.weight, std=0.1)
        prior, raw = PublishedPrior(network, normaliser()), 0.3 * normal(50, 63)
        found = alone_error(prior, raw, torch.ones(50, 63), part="body", level=0.5)
        state = torch.cat((raw / 0.2, torch.zeros(50, NUMBERS - 63)), -1)
        shown = torch.tensor((True, False, False, False)).expand(50, 4)
        clean = expected_clean(
            lambda x, t: network(x, t, shown), state + 0.5 * normal(50, NUMBERS),
            SUB_VP.time(torch.tensor(0.5)),
        )  # fmt: skip
        off = 0.2 * (clean - state)[:, :63].unflatten(-1, (-1, 3)).norm(dim=-1)
        assert found == pytest.approx(float(off.mean().rad2deg().detach()), rel=1e-4)

    def test_what_was_not_recorded_does_not_count(self) -> None:
        raw, seen = 0.3 * normal(50, 63), torch.ones(50, 63)
        seen[:, 57:] = 0
        spoilt = raw.clone()
        spoilt[:, 57:] = 9.0
        one, other = (
            alone_error(knows_nothing(), x, seen, part="body", level=0.3) for x in (raw, spoilt)
        )
        assert one == pytest.approx(other, rel=1e-5)


class TestCost:
    val = 0.2 * normal(500, NUMBERS)

    def test_who_knows_nothing_loses_one_in_every_part(self) -> None:
        losses = part_losses(knows_nothing(), self.val)
        assert list(losses) == ["body", "left_hand", "right_hand", "face"]
        assert all(value == pytest.approx(1, abs=0.03) for value in losses.values())

    def test_the_worst_part_is_told(self) -> None:
        def worse(x, t):
            return torch.cat((torch.zeros_like(x[:, :-13]), 0.3 * normal(len(x), 13, seed=9)), -1)

        same = knows_nothing()
        systems = {"base": same, "fused": same, "mixed": same}
        bars = [row for row in cost_rows(systems, self.val) if row.bar is not None]
        assert [row.value for row in bars] == [1, 1] and all(row.passed for row in bars)
        systems["mixed"] = PublishedPrior(worse, normaliser())
        bars = [row for row in cost_rows(systems, self.val) if row.bar is not None]
        assert all(row.value == pytest.approx(1.09, abs=0.02) for row in bars)
        assert all("face" in row.what and not row.passed for row in bars)


def test_trained_priors_stand_beside_the_others_in_the_solver(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(baseline_weights, "SIZES", SMALL)
    torch.manual_seed(0)
    scale = Normaliser(0.1 * normal(63), 0.2 + 0.1 * torch.rand(63), torch.ones(63))
    for name in ("vae", "distance", "dp"):
        network = {f"network/{k}": v for k, v in NETWORKS[name]().state_dict().items()}
        write_baseline(tmp_path / f"{name}_0.safetensors", network, normaliser=scale)
    # None of the whole bodies is there.
    assert part_rows(tmp_path, tmp_path, poses=1) == []
    found = {method.name: method for method in trained_methods(tmp_path)}
    assert set(found) == {"DP, seed 0", "VAE, seed 0", "distance field, seed 0"}
    prior, raw = read_whitened(tmp_path / "vae_0.safetensors"), 0.3 * normal(4, 63)
    state = torch.zeros(4, SIZE)
    state[:, :63] = raw / scale.deviation
    told = found["VAE, seed 0"].expects(1, lambda: (state, state))(state, 0.5)
    assert torch.allclose(told[:, :63] * scale.deviation, prior.denoise(raw, 0.5), atol=1e-5)
    assert not told[:, 63:].any()
