"""What is known of a motion before it is made, as a guess of every number and how sure it is.

Numbers that are kept say something of the frames around them: each is a Gaussian process with the
spectra of motion (`Noise`; Rasmussen and Williams 2006, section 2.2). A spoilt reference says something
of every frame. What they leave open is the network's to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from humanmotion.diffusion.noise import Noise
from humanmotion.generation.features import REFERENCE, SIZE

NEAR = 16
"""Frames beyond which a kept frame says nothing more of an open one than those between do."""
ENOUGH = 32
"""Kept frames from which a motion says itself how it moves."""
TURNS = 6
"""The last of a reference's numbers say how the root turns."""
TURNS_SPOILT = 10.0
"""Times the variance of others: noise of a pose is small beside poses, not beside their changes."""
REACH, WIDTH = 4, 1.5
"""Frames to either side that say where one of a reference should be, and the Gaussian they count by."""
AROUND, CALM = 7, 0.3
"""Frames to either side among which the calmer ones say how much is usual: this quantile of them."""
ODD = 2.0
"""Times as far off as usual, squared, up to which a frame is not odd; chosen on val."""
SPOILT = (1e-3, 5e-2)
"""Least and most variance of a reference about the truth, in units of the spread."""
LEAST = 1e-4
"""Variance of what is known."""
_ROUNDS, _LEAST_TRUST, _RIDGE, _LEAST_OFF = 3, 0.02, 1e-4, 1e-9
_MEDIAN = 0.6745
"""Of the absolute of a normal number."""


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
    values, variance = torch.zeros_like(kept.values), torch.ones_like(kept.values)
    for row, mask in enumerate(kept.mask):
        for columns, known in _alike(mask):
            values[row, :, columns], variance[row, :, columns] = _kriged(
                kept.values[row][:, columns], known,
                _by_lag(noise, kept.values[row][:, columns], known, columns=columns, own=own),
            )  # fmt: skip
    return Hints(values, variance)


def _alike(mask: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Columns of `mask` `(T, n)` that are known in the same frames, and these `(T)` bool."""
    patterns, which = mask.unique(dim=1, return_inverse=True)
    for number, known in enumerate(patterns.unbind(1)):
        if bool(known.any()):
            yield (which == number).nonzero()[:, 0], known


def _by_lag(noise: Noise, values: Tensor, known: Tensor, *, columns: Tensor, own: float) -> Tensor:
    """Covariance `(T, n)` of values `(T, n)` by how many frames lie between them."""
    frames = len(known)
    said = noise.covariance(frames).to(values)
    said = said[:, columns] if said.shape[1] > 1 else said.expand(-1, len(columns))
    if own == 0 or noise.spectra is None or int(known.sum()) < ENOUGH:
        return said
    constant = noise.spectra[0].to(values)[columns]
    off = (values - values[known].mean(0)) * known[:, None]
    waves = torch.fft.rfft(off.double(), n=2 * frames, dim=0).abs().square()
    found = torch.fft.irfft(waves, n=2 * frames, dim=0)[:frames]
    moves = found[0] > LEAST * int(known.sum())
    clip = (found / torch.where(moves, found[0], 1.0)).to(values)
    # Both are covariances of something, so that any mean of them is one.
    return said + own * moves * ((1 - constant) * clip - (said - constant))


def _kriged(values: Tensor, known: Tensor, by_lag: Tensor) -> tuple[Tensor, Tensor]:
    """Values `(T, n)` and their variances where they are known in frames `known` `(T)`."""
    frames = torch.arange(len(known), device=known.device)
    open_at = frames[~known]
    mean, variance = values.clone(), torch.full_like(values, LEAST)
    if not len(open_at):
        return mean, variance
    at = frames[known]
    at = at[(at[:, None] - open_at).abs().amin(1) <= NEAR]

    def between(a: Tensor, b: Tensor) -> Tensor:
        return by_lag[(a[:, None] - b).abs()].permute(2, 0, 1)

    own = between(at, at) + LEAST * torch.eye(len(at), device=at.device)
    across = between(at, open_at)
    weights = torch.cholesky_solve(across, torch.linalg.cholesky(own))
    mean[open_at] = torch.einsum("nko,kn->on", weights, values[at])
    variance[open_at] = (1 - (weights * across).sum(1)).mT.clamp(LEAST, 1)
    return mean, variance


def hints_of_reference(reference: Tensor, mask: Tensor | None = None) -> Hints:
    """What a spoilt reference `(B, T, 138)`, there where `mask` `(B, T)` is True, says of a motion.

    Capture spoils whole frames: all numbers of one are off from what its neighbours say, by more than
    in the frames around. Such frames are pulled towards their neighbours, the others stay.
    """
    there = torch.ones(reference.shape[:2], device=reference.device)
    there = there if mask is None else mask.to(there)
    poses, turns = reference[..., :-TURNS], reference[..., -TURNS:]
    trusted = there
    for _ in range(_ROUNDS):
        found, left, trusted = _despiked(poses, trusted, there)
    # A turn leads from one frame to the next: one that is odd spoils two of them.
    both = torch.minimum(trusted, functional.pad(trusted[:, 1:], (0, 1), value=1.0))
    turned, left_of_turns, _ = _despiked(turns, both, there)
    left_of_turns = TURNS_SPOILT * left_of_turns
    reach = functional.max_pool1d(there[:, None], 2 * REACH + 1, 1, REACH)[:, 0]
    # Where all frames within reach are lost, nothing is known.
    seen = (reach > 0)[..., None]
    said = torch.cat((found, turned), -1)
    open_of = torch.cat((left.expand_as(poses), left_of_turns.expand_as(turns)), -1)
    values = reference.new_zeros(*reference.shape[:2], SIZE)
    variance = torch.ones_like(values)
    values[..., REFERENCE] = torch.where(seen, said, 0.0)
    variance[..., REFERENCE] = torch.where(seen, open_of, 1.0)
    return Hints(values, variance)


def _despiked(values: Tensor, trusted: Tensor, there: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values `(B, T, n)` with odd frames pulled towards what those `trusted` `(B, T)` say, the variance
    left `(B, T, 1)`, and how far each frame is to be trusted."""
    around = _by_neighbours(values, trusted)
    # The median over numbers: what moves fast moves few of them, noise moves all.
    off = ((values - around).abs().median(-1).values / _MEDIAN) ** 2
    usual = _usual(torch.where(there > 0, off, torch.nan))
    pulled = (1 - ODD * usual / off.clamp(min=_LEAST_OFF)).clamp(0, 1)
    pulled = torch.where(there > 0, pulled, 1.0)
    left = (usual * (1 + 2 * pulled)).clamp(*SPOILT)
    found = torch.lerp(values, around, pulled[..., None])
    return found, left[..., None], (1 - pulled).clamp(min=_LEAST_TRUST) * there


def _by_neighbours(values: Tensor, trusted: Tensor) -> Tensor:
    """Values `(B, T, n)` as the parabola through the frames around each says, itself left out.

    `trusted` `(B, T)` is what each frame counts (moving least squares, Lancaster and Salkauskas 1981).
    """
    frames = values.shape[1]
    away = torch.arange(-REACH, REACH + 1, device=values.device)
    at = torch.arange(frames, device=values.device)[:, None] + away
    inside = (at >= 0) & (at < frames) & (away != 0)
    at = at.clamp(0, frames - 1)
    weight = trusted[:, at] * inside * torch.exp(-0.5 * (away / WIDTH) ** 2)
    powers = torch.stack([(away / REACH) ** k for k in range(3)], -1)
    own = torch.einsum("btk,ki,kj->btij", weight, powers, powers)
    own = own + _RIDGE * torch.eye(3, device=values.device)
    taps = torch.linalg.solve(own, (weight[..., None] * powers).mT)[..., 0, :]
    return torch.einsum("btk,btkn->btn", taps, values[:, at])


def _usual(off: Tensor) -> Tensor:
    """What the calmer of the frames around each, NaN being none, are off `(B, T)`."""
    reach = AROUND
    padded = functional.pad(off, (reach, reach), value=torch.nan)
    found = padded.unfold(-1, 2 * reach + 1, 1).nanquantile(CALM, -1)
    return found.nan_to_num(nan=1.0)
