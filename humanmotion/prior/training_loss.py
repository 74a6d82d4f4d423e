"""What the prior's networks learn from: noisy poses in, clean ones out, only where there are any."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from humanmotion.prior.noise_plan import draw_levels
from humanmotion.prior.space import TOKENS, spread_tokens

SHARED = 4
"""Samples that have their noise levels in common, since each set of levels costs time of its own."""
GAP_SHARE = 0.25
"""Windows in which a run of frames is missing, as in a track that is lost for a while."""


def denoising_loss(
    network: nn.Module,
    state: Tensor,
    *,
    shown: Tensor,
    recorded: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Mean squared error in the network's own scale; `state` `(B, 172)` or windows `(B, T, 172)`.

    `shown` and `recorded` `(B, 55)` or `(B, T, 55)` bool. A token that is not shown is missing, one
    that was not recorded is asked for nothing. Everything lies where the generator lives.
    """
    rho = draw_levels(-(-len(state) // SHARED), generator=generator)
    rho = rho.repeat_interleave(SHARED, 0)[: len(state)]
    if state.ndim == 3:
        rho = _with_gaps(rho, state.shape[1], generator)
    rho = torch.where(shown, rho, torch.full_like(rho, torch.inf))
    level = spread_tokens(rho)
    noise = torch.randn(state.shape, generator=generator, device=state.device)
    noisy = torch.where(torch.isinf(level), noise, state + level * noise)
    clean = network(noisy, rho)
    # Karras et al. 2022, table 1: the weight that makes every level's target one of unit variance.
    weight = torch.where(
        torch.isinf(level), torch.ones_like(level), 1 + level.clamp(min=1e-6) ** -2
    )
    asked = spread_tokens(recorded) & (level > 0)
    error = torch.where(asked, weight * (clean - state) ** 2, torch.zeros_like(state))
    return error.sum() / asked.sum().clamp(min=1)


def _with_gaps(rho: Tensor, frames: int, generator: torch.Generator) -> Tensor:
    """Levels `(B, 55)` for every frame, `(B, T, 55)`, with a run of missing frames here and there."""
    count = len(rho)
    out = rho[:, None].expand(count, frames, TOKENS)
    device = generator.device
    first = torch.randint(frames, (count, 1), generator=generator, device=device)
    length = torch.randint(2, frames // 2 + 2, (count, 1), generator=generator, device=device)
    has = torch.rand(count, 1, generator=generator, device=device) < GAP_SHARE
    at = torch.arange(frames, device=device)[None]
    gone = has & (at >= first) & (at < first + length)
    return torch.where(gone[..., None], torch.full_like(out, torch.inf), out)
