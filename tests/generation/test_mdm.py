"""The published recipe that ours is compared with: its schedule, its sampler, what it may look at."""

from __future__ import annotations

import math

import pytest
import torch

from humanmotion.generation.mdm import (
    DROPPED,
    MDM,
    MDMConfig,
    kept_shares,
    mdm_loss,
    mdm_sampled,
)

TINY = MDMConfig(width=16, hidden=16, layers=1, heads=2, text_width=6, steps=5, dropout=0.0)


@pytest.fixture(scope="module")
def network() -> MDM:
    torch.manual_seed(0)
    return MDM(TINY).eval()


def noise(count: int, frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, frames, 276, generator=torch.Generator().manual_seed(seed))


def test_the_schedule_is_the_cosine() -> None:
    """Nichol and Dhariwal's closed form, but for its clipped last step."""
    shares = kept_shares(50)
    for step in (0, 10, 30, 48):
        f = [math.cos((t / 50 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in (step + 1, 0)]
        assert float(shares[step]) == pytest.approx(f[0] / f[1], rel=1e-9)
    assert bool((shares.diff() < 0).all()) and 0 < float(shares[-1]) < 1e-4


class Exact(torch.nn.Module):
    """Says the clean motion, which is one and the same."""

    def __init__(self, clean: torch.Tensor, config: MDMConfig) -> None:
        super().__init__()
        self.clean, self.config = clean, config
        self.register_buffer("mean", torch.zeros(276))

    def forward(self, state, step, *, sentence, mask=None):
        return self.clean.expand_as(state)


def test_an_exact_network_is_sampled_exactly() -> None:
    clean = noise(1, 12, 1)
    made = mdm_sampled(Exact(clean, TINY), torch.zeros(2, 6), [12, 12], seeds=[0, 1])
    assert torch.allclose(made, clean.expand(2, -1, -1), atol=1e-5)


class Gaussian(torch.nn.Module):
    """The exact answer for data that are independent normal numbers of some spread."""

    def __init__(self, spread: float, steps: int) -> None:
        super().__init__()
        self.spread, self.config = spread, MDMConfig(steps=steps)
        self.register_buffer("mean", torch.zeros(276))

    def forward(self, state, step, *, sentence, mask=None):
        share = kept_shares(self.config.steps)[step].float()[:, None, None]
        variance = self.spread**2
        return share.sqrt() * variance / (share * variance + 1 - share) * state


def test_samples_have_the_spread_of_the_data() -> None:
    """In the limit of many steps; few lose some of it, as is known of this variance."""
    spreads = [
        float(mdm_sampled(Gaussian(0.5, steps), torch.zeros(4, 6), [40] * 4, seeds=range(4)).std())
        for steps in (50, 500)
    ]
    assert spreads[1] == pytest.approx(0.5, rel=0.02) and 0.45 < spreads[0] < spreads[1]


def test_a_sample_is_its_own_whatever_the_batch(network) -> None:
    text = torch.randn(2, 6, generator=torch.Generator().manual_seed(2))
    both = mdm_sampled(network, text, [8, 12], seeds=[3, 4])
    alone = mdm_sampled(network, text[:1], [8], seeds=[3])
    assert torch.allclose(both[0, :8], alone[0], atol=1e-4)
    again = mdm_sampled(network, text, [8, 12], seeds=[3, 4])
    assert torch.equal(both, again)


def test_guidance_of_one_is_the_texts_own(network) -> None:
    """And the further it goes, the more the text counts; guidance 0 knows no text."""
    texts = torch.randn(2, 6, generator=torch.Generator().manual_seed(2))

    def apart(guidance: float) -> float:
        a, b = (
            mdm_sampled(network, text[None], [8], seeds=[0], guidance=guidance) for text in texts
        )
        return float((a - b).abs().mean())

    assert apart(0.0) == 0 < apart(1.0) < apart(2.5)


def test_the_loss_is_the_squared_error_where_asked() -> None:
    clean, mask = noise(4, 10), torch.ones(4, 10, dtype=torch.bool)
    asked = torch.rand(4, 10, 276, generator=torch.Generator().manual_seed(1)) < 0.3
    loss = mdm_loss(Exact(clean[:1] * 0, TINY), clean, asked, sentence=torch.zeros(4, 6), mask=mask,
                    steps=5, generator=torch.Generator().manual_seed(0))  # fmt: skip
    assert float(loss) == pytest.approx(float((clean[asked] ** 2).mean()), rel=1e-5)


class Watching(torch.nn.Module):
    def forward(self, state, step, *, sentence, mask=None):
        self.state, self.step, self.sentence = state, step, sentence
        return state


def test_what_the_network_is_shown() -> None:
    """Texts go at their rate; states have the variance of their step."""
    watching, clean = Watching(), noise(2000, 1)
    mask, asked = torch.ones(2000, 1, dtype=torch.bool), torch.ones(2000, 1, 276)
    mdm_loss(watching, 2 * clean, asked, sentence=torch.ones(2000, 6), mask=mask, steps=5,
             generator=torch.Generator().manual_seed(0))  # fmt: skip
    gone = (watching.sentence == 0).all(-1).float().mean()
    assert float(gone) == pytest.approx(DROPPED, abs=0.02)
    for step, share in enumerate(kept_shares(5).tolist()):
        own = watching.state[watching.step == step]
        assert float(own.var()) == pytest.approx(4 * share + 1 - share, rel=0.02)


def test_sizes_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="multiple of twice the heads"):
        MDMConfig(width=30, heads=4)
