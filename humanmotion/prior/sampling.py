"""Poses out of nothing, and the rest of poses of which a part is given."""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.diffusion.samplers import falling_levels, heun
from humanmotion.errors import UsageError
from humanmotion.prior.model import Kind, PosePrior, check_state
from humanmotion.prior.space import SIZE, TOKENS, spread_tokens

HIGHEST, LOWEST = 20.0, 0.03
STEPS = 12
"""Noise levels: 23 network calls, Heun's method taking two a step and one for the last."""


def sample(
    prior: PosePrior, count: int, *, seed: int = 0, kind: Kind = "pose", frames: int = 1
) -> Tensor:
    """`count` states drawn from the prior, `(count, frames, 172)`.

    Frames of `motion` belong together, at 30 fps; those of `pose` do not. Raises UsageError for
    numbers below 1.
    """
    if count < 1 or frames < 1:
        raise UsageError(f"{count} samples of {frames} frames asked for; give at least 1 of each")
    nothing = torch.zeros(frames, SIZE)
    known = torch.zeros(TOKENS, dtype=torch.bool)
    return complete(prior, nothing, known, hypotheses=count, seed=seed, kind=kind)


def complete(
    prior: PosePrior,
    state: Tensor,
    known: Tensor,
    *,
    hypotheses: int = 10,
    seed: int = 0,
    kind: Kind = "pose",
) -> Tensor:
    """`hypotheses` completions `(K, T, 172)` of states `(T, 172)`; `known` tokens stay as given.

    `known` `(55)` or `(T, 55)` bool. What stands in the unknown numbers does not matter. One
    sampling run with the known tokens at level zero: no guidance, no weights. Raises UsageError
    when `state` has another shape or is not finite.
    """
    if hypotheses < 1 or state.shape[-1:] != (SIZE,):
        raise UsageError(
            f"{hypotheses} hypotheses of states {tuple(state.shape)} asked for; give at least 1 of "
            f"(T, {SIZE})"
        )
    known = known.expand(len(state), TOKENS)
    given = spread_tokens(known)
    state = torch.where(given, state, torch.zeros_like(state))
    check_state(state)
    generator = torch.Generator().manual_seed(seed)

    def denoise(x: Tensor, level: float) -> Tensor:
        rho = torch.where(known, torch.zeros(()), torch.tensor(level))
        return torch.where(
            given, state, prior.denoise(torch.where(given, state, x), rho, kind=kind)
        )

    levels = falling_levels(STEPS, highest=HIGHEST, lowest=LOWEST)
    noise = torch.randn(hypotheses, *state.shape, generator=generator)
    return heun(denoise, torch.where(given, state, levels[0] * noise), levels)
