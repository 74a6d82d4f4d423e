from __future__ import annotations

import pytest
import torch

from humanmotion.diffusion.preconditioning import scalings
from humanmotion.prior.denoiser import PATCH, Denoiser, DenoiserConfig
from humanmotion.prior.noise_plan import GROUPS, draw_levels
from humanmotion.prior.space import (
    BODY,
    LEFT_HAND,
    MIRROR_TOKENS,
    SIZE,
    TOKENS,
    spread_tokens,
)
from humanmotion.prior.training_loss import denoising_loss

SMALL = DenoiserConfig(width=32, hidden=48, blocks=2)
WINDOWS = DenoiserConfig(width=32, hidden=48, blocks=2, frames=60, heads=4)


def network(config: DenoiserConfig) -> Denoiser:
    torch.manual_seed(0)
    made = Denoiser(config).eval()
    torch.nn.init.normal_(made.leave.weight, std=0.05)
    return made


class TestScalings:
    def test_the_ends(self) -> None:
        scale = scalings(torch.tensor((0.0, 1.0, torch.inf)))
        assert scale.skip.tolist() == [1.0, 0.5, 0.0]
        assert scale.out.tolist() == pytest.approx([0.0, 0.5**0.5, 1.0])
        assert scale.input.tolist() == pytest.approx([1.0, 0.5**0.5, 0.0])
        assert torch.isfinite(scale.clock).all()

    def test_input_and_target_have_unit_variance(self) -> None:
        generator = torch.Generator().manual_seed(0)
        clean, noise = torch.randn(2, 200_000, generator=generator)
        for level in (0.05, 0.5, 3.0):
            scale = scalings(torch.tensor(level))
            noisy = clean + level * noise
            target = (clean - scale.skip * noisy) / scale.out
            assert float((scale.input * noisy).std()) == pytest.approx(1, abs=0.01)
            assert float(target.std()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("config", "lead"), [(SMALL, (5,)), (SMALL, ()), (WINDOWS, (2, 9))])
class TestDenoiser:
    def test_what_is_known_stays(self, config, lead) -> None:
        state = torch.randn(*lead, SIZE)
        rho = torch.full((*lead, TOKENS), 0.7)
        rho[..., BODY] = 0.0
        clean = network(config)(state, rho)
        assert torch.equal(clean[..., :63], state[..., :63])
        assert not torch.allclose(clean[..., 63:], state[..., 63:], atol=1e-2)

    def test_what_is_missing_is_not_looked_at(self, config, lead) -> None:
        state = torch.randn(*lead, SIZE)
        rho = torch.full((*lead, TOKENS), 0.7)
        rho[..., LEFT_HAND] = torch.inf
        other = torch.where(spread_tokens(torch.isinf(rho)), torch.nan, state)
        made = network(config)
        assert torch.equal(made(state, rho), made(other, rho))

    def test_gradients_are_finite_with_nothing_and_everything_known(self, config, lead) -> None:
        state = torch.randn(*lead, SIZE, requires_grad=True)
        rho = torch.full((*lead, TOKENS), torch.inf)
        rho[..., ::2] = 0.0
        network(config)(state, rho).square().sum().backward()
        assert bool(torch.isfinite(state.grad).all())


def test_poses_of_a_batch_do_not_mix_but_frames_of_a_window_do() -> None:
    state, rho = torch.randn(3, 8, SIZE), torch.full((3, 8, TOKENS), 0.5)
    moved = state.clone()
    moved[1, 3] += 1.0
    for config, frames in ((SMALL, [3]), (WINDOWS, list(range(8)))):
        made = network(config)
        change = (made(moved, rho) - made(state, rho)).detach().abs().amax(-1)
        assert change[1].nonzero()[:, 0].tolist() == frames
        assert float(change[[0, 2]].max()) == 0


def test_only_differences_of_time_matter() -> None:
    # Rotary positions: the same window later in time gives the same answer, where all is equal.
    state = torch.randn(1, SIZE).expand(2 * PATCH, SIZE)[None]
    clean = network(WINDOWS)(state, torch.full((1, 2 * PATCH, TOKENS), 0.5))
    assert torch.allclose(clean[0, 0], clean[0, PATCH], atol=1e-4)


class TestTraining:
    def test_levels_hold_every_question(self) -> None:
        levels = draw_levels(4000, generator=torch.Generator().manual_seed(0))
        assert bool((levels >= 0).all())
        known, gone = (levels == 0).any(-1).float().mean(), torch.isinf(levels).any(-1).float()
        assert 0.1 < float(known) < 0.3 and 0.05 < float(gone.mean()) < 0.15
        same = (levels == levels[:, :1]).all(-1).float().mean()
        assert 0.3 < float(same) < 0.5
        finite = levels[torch.isfinite(levels) & (levels > 0)]
        low, high = finite.quantile(torch.tensor((0.05, 0.95)))
        assert low < 0.06 and high > 2

    def test_groups_are_mirror_images(self) -> None:
        rows = {tuple(g.tolist()) for g in GROUPS}
        assert len(rows) == len(GROUPS)
        assert {tuple(g[list(MIRROR_TOKENS)].tolist()) for g in GROUPS} == rows

    @pytest.mark.parametrize("lead", [(64,), (4, 8)])
    def test_missing_tokens_teach_nothing(self, lead) -> None:
        made = network(WINDOWS if len(lead) == 2 else SMALL)
        state = torch.randn(*lead, SIZE)
        recorded = torch.ones(*lead, TOKENS, dtype=torch.bool)
        recorded[..., LEFT_HAND] = False
        spoilt = torch.where(spread_tokens(recorded), state, torch.full_like(state, 1e3))

        def loss(x: torch.Tensor) -> float:
            generator = torch.Generator().manual_seed(3)
            with torch.no_grad():
                return float(
                    denoising_loss(made, x, shown=recorded, recorded=recorded, generator=generator)
                )

        assert loss(state) == loss(spoilt)

    def test_what_is_shown_is_seen_and_what_was_recorded_is_asked_for(self) -> None:
        made = network(SMALL)
        state = torch.randn(64, SIZE)
        hand = torch.zeros(64, TOKENS, dtype=torch.bool)
        hand[:, LEFT_HAND] = True
        other = torch.where(spread_tokens(hand), state + 1.0, state)
        every = torch.ones_like(hand)

        def loss(x: torch.Tensor, shown: torch.Tensor, recorded: torch.Tensor) -> float:
            generator = torch.Generator().manual_seed(3)
            with torch.no_grad():
                found = denoising_loss(made, x, shown=shown, recorded=recorded, generator=generator)
            return float(found)

        # Seen though not asked for; asked for though not seen; neither.
        assert loss(state, every, ~hand) != loss(other, every, ~hand)
        assert loss(state, ~hand, every) != loss(other, ~hand, every)
        assert loss(state, ~hand, ~hand) == loss(other, ~hand, ~hand)

    @pytest.mark.parametrize("config", [SMALL, WINDOWS])
    def test_trust_is_the_share_of_what_the_network_adds(self, config) -> None:
        made = network(config)
        state, rho = torch.randn(2, 6, SIZE), torch.full((2, 6, TOKENS), 0.5)
        with torch.no_grad():
            none, half, full = (made(state, rho, trust=t) for t in (0.0, 0.5, 1.0))
            frames = 6 if config.frames > 1 else 1
            alone = made.linear(
                state.reshape(-1, frames, SIZE), rho.reshape(-1, frames, TOKENS)
            ).reshape(state.shape)
        assert torch.allclose(none, alone, atol=1e-6) and not torch.allclose(none, full, atol=1e-3)
        assert torch.allclose(half, (none + full) / 2, atol=1e-6)

    def test_an_untrained_network_errs_by_one(self) -> None:
        # It says zero in its own scale, whose targets have unit variance.
        torch.manual_seed(0)
        made = Denoiser(SMALL)
        state = torch.randn(3000, SIZE)
        recorded = torch.ones(3000, TOKENS, dtype=torch.bool)
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            loss = denoising_loss(
                made, state, shown=recorded, recorded=recorded, generator=generator
            )
        assert float(loss) == pytest.approx(1, abs=0.02)
