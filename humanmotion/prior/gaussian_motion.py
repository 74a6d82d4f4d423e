"""What a Gaussian of movement expects of noisy poses: the linear part of every denoiser here.

A window is taken apart into waves by a cosine transform over time. The waves of different frequency are
taken for independent; those of one frequency have the same principal directions at all of them, and
variances of their own. So a slow lean of the trunk and a quick shake of a wrist have the size that they
have in real movement. With one frame there is one wave, and this is a full Gaussian of poses.

The expected clean pose under independent noise of any level per joint is then exact; networks learn
only what goes beyond it. A network that has to find smoothing by itself needs far more data.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn

from humanmotion.diffusion.preconditioning import LEAST
from humanmotion.prior.space import (
    BODY,
    EXPRESSION_TOKEN,
    EYES,
    JAW,
    LEFT_HAND,
    RIGHT_HAND,
    SIZE,
    TOKENS,
    spread_tokens,
)

ROUNDS = 4
"""Repetitions where noise changes over a window; each also passes on what a gap's ends know."""
ROWS = 64
"""Windows that are looked at together, which bounds memory."""
SINGLE_WAVES = 16
"""Waves with variances of their own; quicker ones share theirs within a band."""
LEAST_VARIANCE = 1e-6


def _numbers(*tokens: slice) -> list[int]:
    return [i for t in tokens for i in range(3 * t.start, 3 * t.stop)]


GROUPS: tuple[list[int], ...] = (
    _numbers(BODY),
    [*_numbers(JAW, EYES), *range(3 * EXPRESSION_TOKEN, SIZE)],
    _numbers(LEFT_HAND),
    _numbers(RIGHT_HAND),
)
"""Numbers that go together; what one group says of another is left to the networks."""


def bands(frames: int) -> list[int]:
    """Band of each of the waves of a window, rising from 0."""
    edges = [*range(min(frames, SINGLE_WAVES))]
    while edges[-1] + 1 < frames:
        edges.append(min(frames - 1, edges[-1] + max(1, edges[-1] // 4)))
    return np.searchsorted(edges, range(frames)).tolist()


class GaussianMotion(nn.Module):
    """Mean, directions and variances; until they are fitted, those of independent normal numbers."""

    mean: Tensor
    """`(172)`."""
    axes: Tensor
    """Principal directions `(172, 172)`, one a column; zero between the groups."""
    variances: Tensor
    """Along the axes, of each band `(bands, 172)`."""
    waves: Tensor
    """The cosine transform `(frames, frames)`."""

    def __init__(self, frames: int = 1) -> None:
        super().__init__()
        self.bands = bands(frames)
        self.register_buffer("mean", torch.zeros(SIZE))
        self.register_buffer("axes", torch.eye(SIZE))
        self.register_buffer("variances", torch.ones(self.bands[-1] + 1, SIZE))
        table = torch.from_numpy(dct(np.eye(frames), axis=0, norm="ortho")).float()
        self.register_buffer("waves", table, persistent=False)

    def forward(self, seen: Tensor, rho: Tensor) -> Tensor:
        """Expected clean states `(N, T, 172)` of noisy ones at levels `rho` `(N, T, 55)`.

        T is at most the window. What `seen` holds where `rho` is infinite must be finite, and does not
        matter. Exact where a joint has one level over the window, else by repetition.
        """
        frames, window = seen.shape[1], len(self.waves)
        if frames < window:
            lead = (len(seen), window - frames)
            seen = torch.cat((seen, seen.new_zeros(*lead, SIZE)), 1)
            rho = torch.cat((rho, rho.new_full((*lead, TOKENS), torch.inf)), 1)
        parts = [
            self._expected(s, r) for s, r in zip(seen.split(ROWS), rho.split(ROWS), strict=True)
        ]
        return torch.cat(parts)[:, :frames]

    def draw(self, count: int, *, generator: torch.Generator) -> Tensor:
        """Windows `(count, frames, 172)` of it, the mean taken off."""
        shape = (count, len(self.waves), SIZE)
        waves = torch.randn(shape, generator=generator) * self.variances[self.bands].sqrt()
        return self.waves.mT @ (waves @ self.axes.mT)

    def _expected(self, seen: Tensor, rho: Tensor) -> Tensor:
        with torch.autocast(seen.device.type, enabled=False):
            away, rho = seen.float() - self.mean, rho.float().clamp(min=LEAST)
            least = rho.amin(1)  # (N, 55)
            gains = self._gains(least)
            share = spread_tokens((least[:, None] / rho) ** 2)
            share = torch.where(torch.isinf(spread_tokens(rho)), torch.zeros_like(share), share)
            changing = ((rho != least[:, None]).flatten(1).any(-1)).nonzero()[:, 0]
            found = self._applied(gains, torch.where(share > 0, away, torch.zeros_like(away)))
            if len(changing):
                some = [(rows, gain[changing]) for rows, gain in gains]
                again = self._repeated(some, away[changing], share[changing])
                found = found.index_copy(0, changing, again)
            return found + self.mean

    def _repeated(
        self, gains: list[tuple[list[int], Tensor]], away: Tensor, share: Tensor
    ) -> Tensor:
        """Where noise changes over time: what is less certain moves to what is expected of it.

        A fixed point solves the normal equations exactly; `share` `(n, T, 172)` is the least variance
        over a frame's own.
        """
        filled = share * away + (1 - share) * _bridged(away, share)
        found = self._applied(gains, filled)
        for _ in range(ROUNDS):
            found = self._applied(gains, found + share * (away - found))
        return found

    def _gains(self, levels: Tensor) -> list[tuple[list[int], Tensor]]:
        """For each group its numbers and `(N, bands, n, n)`, from noisy numbers to expected ones."""
        patterns, which = torch.unique(levels, dim=0, return_inverse=True)
        trust = spread_tokens(torch.where(torch.isinf(patterns), 0.0, 1 / patterns)).double()
        out = []
        for numbers, covariance in self._covariances():
            own = trust[:, None, numbers]  # (P, 1, n)
            inner = own[..., None] * covariance * own[..., None, :]
            inner.diagonal(dim1=-2, dim2=-1).add_(1.0)
            factor = torch.linalg.cholesky(inner)
            half = torch.cholesky_solve(own[..., None] * covariance, factor)
            out.append((numbers, (half.mT * own[..., None, :]).float()[which]))
        return out

    def _covariances(self) -> Iterator[tuple[list[int], Tensor]]:
        """Numbers of each group and their covariances `(bands, n, n)`, doubles."""
        for numbers in GROUPS:
            axes = self.axes[numbers][:, numbers].double()
            yield numbers, (axes * self.variances[:, None, numbers].double()) @ axes.mT

    def _applied(self, gains: list[tuple[list[int], Tensor]], away: Tensor) -> Tensor:
        waves = self.waves @ away
        out = torch.zeros_like(waves)
        for numbers, gain in gains:
            each = gain[:, self.bands] @ waves[..., numbers, None]  # (N, waves, n, 1)
            out[..., numbers] = each[..., 0]
        return self.waves.mT @ out


def _bridged(away: Tensor, share: Tensor) -> Tensor:
    """`away` `(n, T, 172)` with straight lines between the frames that are most certain."""
    frames = away.shape[1]
    at = torch.arange(frames, device=away.device)[:, None].expand(frames, SIZE)
    sure = share > 0.5
    before = torch.where(sure, at, -1).cummax(1).values
    after = torch.where(sure, at, frames).flip(1).cummin(1).values.flip(1)
    first = torch.where(before < 0, after, before).clamp(0, frames - 1)
    last = torch.where(after >= frames, before, after).clamp(0, frames - 1)
    part = (at - first) / (last - first).clamp(min=1)
    bridge = torch.lerp(away.gather(1, first), away.gather(1, last), part)
    return torch.where(sure.any(1, keepdim=True), bridge, torch.zeros_like(bridge))


def fit_gaussian_motion(state: Tensor, recorded: Tensor) -> GaussianMotion:
    """From windows `(W, T, 172)` of which only `recorded` `(W, 55)` tokens count.

    Each pair of numbers counts where both were recorded.
    """
    there = spread_tokens(recorded).to(state.dtype)
    out = GaussianMotion(state.shape[1])
    known = state * there[:, None]
    total = there.sum(0)
    mean = known.sum((0, 1)) / (total * state.shape[1]).clamp(min=1)
    waves = out.waves @ ((known - mean) * there[:, None])
    for numbers in GROUPS:
        own, seen, group = waves[..., numbers], there[:, numbers], torch.tensor(numbers)
        each = own.permute(1, 2, 0) @ own.transpose(0, 1) / (seen.mT @ seen).clamp(min=1)
        # Slow waves are a thousand times the size of quick ones, which must have a say all the same.
        size = each.diagonal(dim1=-2, dim2=-1).sum(-1).clamp(min=LEAST_VARIANCE).sqrt()
        axes = torch.linalg.eigh((each / size[:, None, None]).sum(0))[1]
        out.axes[group[:, None], group] = axes
        along = (axes * (each @ axes)).sum(-2)  # (waves, n)
        for wave, band in enumerate(out.bands):
            out.variances[band, group] += along[wave]
    out.mean.copy_(mean)
    counts = torch.bincount(torch.tensor(out.bands)).to(state.dtype)
    # The variances began at one.
    out.variances.sub_(1.0).div_(counts[:, None]).clamp_(min=LEAST_VARIANCE)
    return out
