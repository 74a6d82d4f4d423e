"""What is known of a motion before it is made, as a guess of every number and how sure it is.

Numbers that are kept say something of the frames around them: each is a Gaussian process with the
spectra of motion (`Noise`; Rasmussen and Williams 2006, section 2.2). A spoilt reference says something
of every frame. What they leave open is the network's to say.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from humanmotion.diffusion.noise import Noise
from humanmotion.generation.features import REFERENCE, SIZE
from humanmotion.generation.spoilt import told_from_noise

TOGETHER = 32
"""Motions at once on a GPU, which is slow at small problems; a CPU is slow at filling them up to one
size."""
NEAR = 16
"""Frames beyond which a kept frame says nothing more of an open one than those between do."""
ENOUGH = 32
"""Kept frames from which a motion says itself how it moves."""
TURNS = 6
"""The last of a reference's numbers say how the root turns."""
TURNS_SPOILT = 10.0
"""Times the variance of others: noise of a pose is small beside poses, not beside their changes."""
REACH = 4
"""Frames to either side of one of a reference beyond which nothing is known of it."""
SPOILT = (1e-3, 5e-2)
"""Least and most variance of a reference about the truth, in units of the spread."""
LEAST = 1e-4
"""Variance of what is known."""
NOTHING = 1e6
"""Variance put on a given frame that is to say nothing."""


@dataclass(frozen=True)
class Kept:
    """Numbers that are given and come out as they are."""

    values: Tensor
    """Normalised features `(B, T, 276)`."""
    mask: Tensor
    """`(B, T, 276)` bool."""


@dataclass(frozen=True)
class Hints:
    """A guess at normalised features, and its variance in units of their spread."""

    values: Tensor
    """`(B, T, 276)`; 0 where nothing is known."""
    variance: Tensor
    """`(B, T, 276)` in (0, 1]; 1 where nothing is known."""

    def trusted(self, power: float | Tensor) -> Hints:
        """The same with less variance, but where there is all: to the given power."""
        return Hints(self.values, (self.variance**power).clamp(min=LEAST**2))

    def joined(self, other: Hints) -> Hints:
        """What both say together: independent of each other but for what is known of any motion."""
        precision = 1 / self.variance + 1 / other.variance - 1
        values = self.values / self.variance + other.values / other.variance
        return Hints(values / precision, 1 / precision)

    def twice(self) -> Hints:
        """Every sample once more, behind all others."""
        return Hints(torch.cat((self.values,) * 2), torch.cat((self.variance,) * 2))


def hints_of_kept(noise: Noise, kept: Kept, *, own: float = 0.0) -> Hints:
    """What kept numbers say of those in other frames.

    How numbers of different frames hang together is that of `noise`, and, to the share `own`, that of
    the kept frames themselves where they are ENOUGH: a walk goes on in its own step.
    """
    values = torch.where(kept.mask, kept.values, 0.0)
    variance = torch.where(kept.mask, LEAST, 1.0).to(values)
    by_lag = noise.covariance(values.shape[1]).to(values).expand(values.shape[1:])
    partly = kept.mask.any(1) & ~kept.mask.all(1)
    for group in partly.any(-1).nonzero()[:, 0].split(_together(values.device)):
        which, column = partly[group].nonzero().unbind(-1)
        if not len(which):
            continue
        row = group[which]
        known, series = kept.mask[row, :, column], values[row, :, column]
        lags = by_lag[:, column].mT
        if own and noise.spectra is not None:
            constant = noise.spectra[0].to(values)[column, None]
            lags = _with_own(lags, series, known, constant=constant, own=own)
        values[row, :, column], variance[row, :, column] = _kriged(series, known, lags)
    return Hints(values, variance)


def _together(device: torch.device) -> int:
    """Of how many motions numbers are found at once."""
    return 1 if device.type == "cpu" else TOGETHER


def _with_own(
    by_lag: Tensor, series: Tensor, known: Tensor, *, constant: Tensor, own: float
) -> Tensor:
    """Covariances `(n, T)` to the share `own` those of the `series` `(n, T)` themselves."""
    frames, count = series.shape[1], known.sum(1, keepdim=True)
    off = (series - series.sum(1, keepdim=True) / count) * known
    waves = torch.fft.rfft(off.double(), n=2 * frames).abs().square()
    found = torch.fft.irfft(waves, n=2 * frames)[:, :frames]
    moves = (found[:, :1] > LEAST * count) & (count >= ENOUGH)
    clip = (found / torch.where(moves, found[:, :1], 1.0)).to(series)
    # Both are covariances of something, so that any mean of them is one.
    return by_lag + own * moves * ((1 - constant) * clip - (by_lag - constant))


def _kriged(series: Tensor, known: Tensor, by_lag: Tensor) -> tuple[Tensor, Tensor]:
    """Series `(n, T)`, of which some frames `known` `(n, T)` are given, filled, and the variances.

    `by_lag` `(n, T)` is the covariance. All are solved at once: of those with fewer frames that count,
    some that do not are taken for so uncertain that they say nothing.
    """
    frames = series.shape[1]
    counts = known & _near(~known)
    most, open_at = counts.sum(-1).amax(), (~known).any(0).nonzero()[:, 0]
    at = counts.int().argsort(dim=-1, descending=True, stable=True)[:, :most]
    both_ways = torch.cat((by_lag.flip(-1)[:, :-1], by_lag), -1)
    rows = torch.arange(len(at), device=at.device)[:, None, None]
    own = both_ways[rows, at[:, :, None] - at[:, None] + frames - 1]
    across = both_ways[rows, at[:, :, None] - open_at + frames - 1]
    noise = torch.where(counts.gather(-1, at), LEAST, NOTHING).to(own)
    root = torch.linalg.cholesky(own + torch.diag_embed(noise))
    wanted = torch.cat((across, series.gather(-1, at)[..., None]), -1)
    solved = torch.linalg.solve_triangular(root, wanted, upper=False)
    across, said = solved[..., :-1], solved[..., -1:]
    mean, variance = series.clone(), torch.full_like(series, LEAST)
    mean[:, open_at] = (across * said).sum(-2)
    variance[:, open_at] = (1 - across.square().sum(-2)).clamp(LEAST, 1)
    return torch.where(known, series, mean), variance.where(~known, LEAST)


def _near(open_at: Tensor) -> Tensor:
    """Which frames `(S, T)` are within NEAR of one that is open."""
    return functional.max_pool1d(open_at[:, None].float(), 2 * NEAR + 1, 1, NEAR)[:, 0] > 0


def hints_of_reference(reference: Tensor, mask: Tensor | None = None) -> Hints:
    """What a spoilt reference `(B, T, 138)`, there where `mask` `(B, T)` is True, says of a motion.

    Frames that are spoilt are read off their neighbours, the others stay; see spoilt.py.
    """
    there = torch.ones(reference.shape[:2], dtype=torch.bool, device=reference.device)
    there = there if mask is None else mask
    poses, turns = reference[..., :-TURNS], reference[..., -TURNS:]
    posed = told_from_noise(poses, there)
    # A turn leads from one frame to the next: one that is spoilt or lost spoils two of them.
    noise = TURNS_SPOILT * torch.maximum(posed.noise, _next(posed.noise))
    turned = told_from_noise(turns, there & _next(there), noise=noise)
    reach = functional.max_pool1d(there[:, None].to(reference), 2 * REACH + 1, 1, REACH)[:, 0]
    # Where all frames within reach are lost, nothing is known.
    seen = (reach > 0)[..., None]
    said = torch.cat((posed.mean, turned.mean), -1)
    left = torch.cat((posed.variance, turned.variance), -1).clamp(*SPOILT)
    values = reference.new_zeros(*reference.shape[:2], SIZE)
    variance = torch.ones_like(values)
    values[..., REFERENCE] = torch.where(seen, said, 0.0)
    variance[..., REFERENCE] = torch.where(seen, left, 1.0)
    return Hints(values, variance)


def _next(frames: Tensor) -> Tensor:
    """Each frame's number `(B, T)` the next one's; the last one keeps its own."""
    return torch.cat((frames[:, 1:], frames[:, -1:]), 1)
