"""What a few Gaussians of movement expect of noisy poses: the start of every denoiser here.

A window is taken apart into waves by a cosine transform over time. The waves of different frequency are
taken for independent; those of one frequency have the same principal directions at all of them, and
variances of their own. So a slow lean of the trunk and a quick shake of a wrist have the size that they
have in real movement. People stand, walk or leap: windows are of classes that share the directions, not
the variances, and how far a window is of each follows from how likely it is there (a Gaussian scale
mixture; Portilla et al. 2003). With one frame there are one wave and one class: a Gaussian of poses.

The expected clean pose under independent noise of any level per joint is then exact; networks learn
only what goes beyond it. A network that has to find smoothing by itself needs far more data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn

from humanmotion.diffusion.preconditioning import LEAST
from humanmotion.prior.missing import LEAST_SHARE, LEAST_VARIANCE, second_moments
from humanmotion.prior.space import (
    BODY,
    EXPRESSION_TOKEN,
    EYES,
    JAW,
    LEFT_HAND,
    RIGHT_HAND,
    SIZE,
    spread_tokens,
)

ROUNDS = 4
"""Repetitions where noise changes over a window; each also passes on what a gap's ends know."""
WINDOWS_AT_ONCE, POSES_AT_ONCE = 64, 1024
"""Looked at together, which bounds memory."""
SINGLE_WAVES = 16
"""Waves with variances of their own; quicker ones share theirs within a band."""
CLASSES = 4
"""Of windows, from the stillest to the liveliest; more of them no longer help."""


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


@dataclass(frozen=True)
class _Gains:
    """Of one group: from noisy numbers to expected ones, for each pattern of noise levels."""

    group: int
    numbers: Tensor
    gains: Tensor
    """`(classes, patterns, bands, n, n)`."""
    evidence: Tensor
    """Logarithm of each class's density at its peak `(classes, patterns)`, but for a constant."""
    trust: Tensor
    """Reciprocal noise variances `(patterns, n)`."""
    which: Tensor
    """Pattern of each window `(N)`."""


class GaussianMotion(nn.Module):
    """Mean, directions and variances; until they are fitted, those of independent normal numbers."""

    mean: Tensor
    """`(172)`."""
    axes: Tensor
    """Principal directions `(172, 172)`, one a column; zero between the groups."""
    variances: Tensor
    """Along the axes, of each class and band `(classes, bands, 172)`."""
    waves: Tensor
    """The cosine transform `(frames, frames)`."""

    band: Tensor
    """Of each wave `(frames)`."""

    def __init__(self, frames: int = 1) -> None:
        super().__init__()
        self.bands = bands(frames)
        self.class_count = CLASSES if frames > 1 else 1
        self.at_once = WINDOWS_AT_ONCE if frames > 1 else POSES_AT_ONCE
        self.register_buffer("mean", torch.zeros(SIZE))
        self.register_buffer("axes", torch.eye(SIZE))
        self.register_buffer("variances", torch.ones(self.class_count, self.bands[-1] + 1, SIZE))
        table = torch.from_numpy(dct(np.eye(frames), axis=0, norm="ortho")).float()
        self.register_buffer("waves", table, persistent=False)
        self.register_buffer("band", torch.tensor(self.bands), persistent=False)
        for group, numbers in enumerate(GROUPS):
            self.register_buffer(f"group_{group}", torch.tensor(numbers), persistent=False)

    def forward(self, seen: Tensor, rho: Tensor, classes: Tensor | None = None) -> Tensor:
        """Expected clean states `(N, T, 172)` of noisy ones at levels `rho` `(N, T, 55)`.

        T is at most the window. What `seen` holds where `rho` is infinite must be finite, and does not
        matter. Exact where a joint has one level over the window, else by repetition. With `classes`
        `(N, 4, classes)` the answer is linear in `seen`; else they follow from it.
        """
        frames = seen.shape[1]
        seen, level = self._whole(seen, spread_tokens(rho))
        rows = torch.arange(len(seen)).split(self.at_once)
        parts = [
            self._expected(s, r, None if classes is None else classes[at])
            for s, r, at in zip(seen.split(self.at_once), level.split(self.at_once), rows,
                                strict=True)
        ]  # fmt: skip
        return torch.cat(parts)[:, :frames]

    def classes(self, seen: Tensor, level: Tensor) -> Tensor:
        """How far noisy states `(N, T, 172)`, each number at a level of its own `(N, T, 172)`, are of
        each class in each group `(N, 4, classes)`."""
        if self.class_count == 1:
            return seen.new_ones(len(seen), len(GROUPS), 1)
        seen, level = self._whole(seen, level.clamp(min=LEAST))
        parts = zip(seen.split(self.at_once), level.split(self.at_once), strict=True)
        return torch.cat([self._told(s, v) for s, v in parts])

    def _told(self, seen: Tensor, level: Tensor) -> Tensor:
        """`classes` of a few whole windows."""
        away, share, _ = self._away(seen, level)
        filled = share * away + (1 - share) * _bridged(away, share)
        waves = self.waves @ filled
        out = waves.new_full((len(seen), len(GROUPS), self.class_count), 1 / self.class_count)
        for gains in self._gains(level.amin(1)):
            out[:, gains.group] = self._belongs(waves, share, gains)[0]
        return out

    def draw(self, classes: Tensor, *, generator: torch.Generator) -> Tensor:
        """Windows `(N, frames, 172)` of it, of `classes` `(N, 4, classes)`, the mean taken off."""
        shape, device = (len(classes), len(self.waves), SIZE), generator.device
        waves = torch.randn(shape, generator=generator, device=device)
        for group, numbers in enumerate(GROUPS):
            mixed = torch.einsum("nm,mbi->nbi", classes[:, group], self.variances[..., numbers])
            waves[..., numbers] *= mixed[:, self.bands].sqrt()
        return self.waves.mT @ (waves @ self.axes.mT)

    def _whole(self, seen: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Both `(N, T, 172)` with frames that nothing is known of, up to a window."""
        lead = (len(seen), len(self.waves) - seen.shape[1], SIZE)
        unknown = level.new_full(lead, torch.inf)
        return torch.cat((seen, seen.new_zeros(lead)), 1), torch.cat((level, unknown), 1)

    def _away(self, seen: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What differs from the mean; the least noise variance over a frame's own, 0 where nothing was
        seen `(N, T, 172)`; and the windows whose noise changes."""
        least = level.amin(1)
        share = (least[:, None] / level) ** 2
        share = torch.where(torch.isinf(level), torch.zeros_like(share), share)
        changing = (level != least[:, None]).flatten(1).any(-1)
        away = seen.float() - self.mean
        return torch.where(share > 0, away, torch.zeros_like(away)), share, changing

    def _expected(self, seen: Tensor, level: Tensor, classes: Tensor | None) -> Tensor:
        with torch.autocast(seen.device.type, enabled=False):
            level = level.float().clamp(min=LEAST)
            away, share, changing = self._away(seen, level)
            rows = changing.nonzero()[:, 0]
            filled = share * away
            if len(rows):
                bridged = (1 - share[rows]) * _bridged(away[rows], share[rows])
                filled = filled.index_add(0, rows, bridged)
            out = torch.zeros_like(filled)
            waves = self.waves @ filled
            for gains in self._gains(level.amin(1)):
                part = share[..., gains.numbers]
                belongs, each = self._belongs(waves, share, gains)
                if classes is not None:
                    belongs = classes[:, gains.group]
                found = _mixed(belongs, each)
                # Where noise changes, what is less certain moves to what is expected of it: a fixed
                # point solves the normal equations exactly.
                for _ in range(ROUNDS if len(rows) else 0):
                    some = self.waves.mT @ found[rows]
                    some = some + part[rows] * (away[rows][..., gains.numbers] - some)
                    some = self.waves @ some
                    again = _mixed(belongs[rows], self._each(some, gains, gains.which[rows]))
                    found = found.index_copy(0, rows, again)
                out[..., gains.numbers] = found
            return self.waves.mT @ out + self.mean

    def _belongs(self, waves: Tensor, share: Tensor, gains: _Gains) -> tuple[Tensor, Tensor]:
        """How far windows are of each class `(N, classes)`, and what each class expects
        `(classes, N, T, n)`, both of waves `(N, T, 172)`."""
        own = waves[..., gains.numbers]
        each = self._each(own, gains, gains.which)
        if len(each) == 1:
            return own.new_ones(len(own), 1), each
        trust = gains.trust[gains.which]
        # Of a normal's exponent: what is seen, and how far the expected falls short of it.
        square = ((trust[:, None] * own)[None] * (own - each)).sum((-1, -2))
        told = gains.evidence[:, gains.which] - 0.5 * square
        # A window that was seen in part says as much less of its class.
        there = (trust[:, None] > 0) & torch.ones_like(own, dtype=torch.bool)
        seen = (share[..., gains.numbers] * there).sum((1, 2)) / there.sum((1, 2)).clamp(min=1)
        return (seen * told).softmax(0).mT, each

    def _each(self, waves: Tensor, gains: _Gains, which: Tensor) -> Tensor:
        """What each class expects `(classes, N, T, n)` of waves `(N, T, n)`."""
        if gains.gains.shape[1] == 1:
            shared = gains.gains[:, 0][:, self.band]  # (classes, T, n, n)
            return (shared @ waves.permute(1, 2, 0)).permute(0, 3, 1, 2)
        return torch.stack(
            [(g[which][:, self.band] @ waves[..., None])[..., 0] for g in gains.gains]
        )

    def _gains(self, levels: Tensor) -> Iterator[_Gains]:
        """Of each group of which anything was seen, at levels `(N, 172)`."""
        patterns, which = torch.unique(levels, dim=0, return_inverse=True)
        trust = torch.where(torch.isinf(patterns), 0.0, 1 / patterns).double()
        counts = torch.bincount(self.band).double()
        for group in range(len(GROUPS)):
            numbers = self.get_buffer(f"group_{group}")
            if not bool(trust[:, numbers].any()):
                continue
            covariance = self._covariance(numbers)
            own = trust[:, None, numbers]  # (P, 1, n)
            inner = own[..., None] * covariance[:, None] * own[..., None, :]
            inner.diagonal(dim1=-2, dim2=-1).add_(1.0)
            factor = torch.linalg.cholesky(inner)  # (classes, P, bands, n, n)
            half = _solved(factor, own[..., None] * covariance[:, None])
            peak = -factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) @ counts
            yield _Gains(group, numbers, (half.mT * own[..., None, :]).float(), peak.float(),
                         trust[:, numbers].square().float(), which)  # fmt: skip

    def _covariance(self, numbers: Tensor) -> Tensor:
        """Of a group `(classes, bands, n, n)`, doubles."""
        axes = self.axes[numbers][:, numbers].double()
        return (axes * self.variances[:, :, None, numbers].double()) @ axes.mT


def _solved(factor: Tensor, right: Tensor) -> Tensor:
    """Solution of normal equations by their lower Cholesky factor.

    On a GPU `torch.cholesky_solve` takes the matrices of a batch one after the other.
    """
    half = torch.linalg.solve_triangular(factor, right, upper=False)
    return torch.linalg.solve_triangular(factor.mT, half, upper=True)


def _mixed(belongs: Tensor, each: Tensor) -> Tensor:
    """What classes expect `(classes, N, T, n)`, by how far a window is of each `(N, classes)`."""
    return torch.einsum("nm,mnti->nti", belongs, each)


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

    Each pair of numbers counts where both were recorded. Classes are as large as each other.
    """
    there = spread_tokens(recorded).to(state.dtype)
    out = GaussianMotion(state.shape[1])
    known = state * there[:, None]
    total = there.sum(0)
    mean = known.sum((0, 1)) / (total * state.shape[1]).clamp(min=1)
    waves = out.waves @ ((known - mean) * there[:, None])
    for numbers in GROUPS:
        own, seen, group = waves[..., numbers], there[:, numbers], torch.tensor(numbers)
        each = second_moments(own, seen)
        # Slow waves are a thousand times the size of quick ones, which must have a say all the same.
        size = each.diagonal(dim1=-2, dim2=-1).sum(-1).clamp(min=LEAST_VARIANCE).sqrt()
        axes = torch.linalg.eigh((each / size[:, None, None]).sum(0))[1]
        out.axes[group[:, None], group] = axes
        some = seen.any(-1).nonzero()[:, 0]
        of = _liveliness(own[some], seen[some], each).argsort().argsort() * out.class_count
        of = of // max(len(some), 1)
        for number in range(out.class_count):
            rows = some[of == number]
            moments = second_moments(own[rows], seen[rows])
            out.variances[number][:, group] = _banded(moments, axes, out.bands)
    out.mean.copy_(mean)
    return out


def _liveliness(waves: Tensor, there: Tensor, moments: Tensor) -> Tensor:
    """Energy of each window's waves `(W)` over what is usual of the numbers it has, on average.

    Waves `(W, T, n)`, of which `there` `(W, n)` counts; what is usual are second moments `(T, n, n)`.
    """
    usual = (there @ moments.diagonal(dim1=-2, dim2=-1).mT).clamp(min=LEAST_VARIANCE)
    # The first wave is where the window is; with one frame there is no other.
    return (waves.square().sum(-1) / usual)[:, min(1, waves.shape[1] - 1) :].mean(-1)


def _banded(moments: Tensor, axes: Tensor, bands: list[int]) -> Tensor:
    """Variances along the axes, `(bands, n)`, of second moments `(T, n, n)`."""
    along = (axes * (moments @ axes)).sum(-2)
    along = along.clamp(min=LEAST_SHARE * along.mean(-1, keepdim=True))
    at = torch.tensor(bands)
    total = torch.zeros(bands[-1] + 1, along.shape[1]).index_add_(0, at, along)
    return (total / torch.bincount(at)[:, None]).clamp(min=LEAST_VARIANCE)
