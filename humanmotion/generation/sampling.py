"""From noise to features with a trained network: guidance, kept numbers, smoothing.

Everything is in the network's normalised features; `sampler.py` speaks of prompts and motions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from humanmotion.attention import AttentionPlan
from humanmotion.diffusion.flow import Flow, euler, guided, heun, noised
from humanmotion.diffusion.noise import Noise
from humanmotion.errors import UsageError
from humanmotion.generation.features import SIZE
from humanmotion.generation.hints import Hints, Kept, hints_of_kept, hints_of_reference
from humanmotion.generation.style import Style
from humanmotion.generation.vimogen import Condition, ViMoGen, frame_plan

Solver = Literal["euler", "heun"]
WIDEST = 2
"""Frames of the widest Gaussian over samples; a window is made twice as many longer than it is used."""

LIVELIER, OWN = 1.5, 0.1
"""Gaps are filled by the spectra to this power, as they are averaged by amplitude over clips, and to
this share by the covariance of the frames beside them."""
ROW_POWER, KEPT_POWER, REFERENCE_POWER = 6.0, 3.0, 2.0
"""Of the variances of hints in gaps, see `trusting`, and of references, for the same reason."""
JOINED = 4, 12
"""Frames from the first or last kept one up to which hints beyond them are not doubted, and from which
they wholly are, see `Sampling.doubt`."""


@dataclass(frozen=True)
class Sampling:
    """How samples are drawn; raises UsageError for what cannot be."""

    steps: int = 10
    guidance: float = 5.0
    """How far beyond the text's own velocity from that without text; 1 is none, half the time."""
    start: float = 0.7
    """Unshifted level that sampling starts from, as published."""
    solver: Solver = "euler"
    smoothing: float = 1.0
    """Frames at 20 fps of the Gaussian over what comes out; 1 is published."""
    shift: float | None = None
    """Of the levels, see `Flow`; that of training unless given."""
    doubt: float = 1.0
    """Beyond the first and the last kept frame a hint leaves `1 - (1 - v)^doubt` open, not `v`: 1 is
    what it says itself."""

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 1000:
            raise UsageError(f"{self.steps} steps given; give 1 to 1000 steps")
        if not 0 < self.start <= 1:
            raise UsageError(f"start {self.start} given; give a level in (0, 1]")
        if not 0 <= self.guidance <= 100:
            raise UsageError(f"guidance {self.guidance} given; give a number from 0 to 100")
        if not 0 <= self.smoothing <= WIDEST:
            raise UsageError(f"smoothing {self.smoothing} given; give 0 to {WIDEST} frames")
        if self.shift is not None and not 0 < self.shift < math.inf:
            raise UsageError(f"shift {self.shift} given; give a number above 0")
        if not 1 <= self.doubt < math.inf:
            raise UsageError(f"doubt {self.doubt} given; give a number of 1 or more")
        if self.solver not in ("euler", "heun"):
            raise UsageError(f'solver {self.solver!r} given; give "euler" or "heun"')

    def given(
        self,
        *,
        steps: int | None = None,
        guidance: float | None = None,
        solver: Solver | None = None,
    ) -> Sampling:
        """The same but for what is given; raises UsageError for what cannot be."""
        asked = {"steps": steps, "guidance": guidance, "solver": solver}
        return replace(self, **{k: v for k, v in asked.items() if v is not None})  # type: ignore[arg-type]

    def levels(self, flow: Flow) -> list[float]:
        """The levels, from the first to 0, of a network that was trained on those of `flow`."""
        flow = flow if self.shift is None else replace(flow, shift=self.shift)
        return flow.levels(self.steps, start=self.start)


DEFAULT = Sampling()


@torch.no_grad()
def sampled(
    network: ViMoGen,
    condition: Condition,
    noise: Tensor,
    *,
    sampling: Sampling = DEFAULT,
    mask: Tensor | None = None,
    kept: Kept | None = None,
    style: Style | None = None,
    plan: AttentionPlan | None = None,
) -> Tensor:
    """Normalised features `(B, T, 276)` that a network makes of `noise` `(B, T, 276)`.

    `mask` `(B, T)` bool is False behind a motion's end. Samples that refer to a motion are not guided,
    the others by one call for both halves. Kept numbers run along their own straight path, so the
    network sees them as noisy as the rest; no style touches them. `plan` carries self-attention, dense
    by default.
    """
    condition = _told(network, condition, kept, doubt=sampling.doubt)
    levels = sampling.levels(network.config.flow)
    field = _Field(network, condition, noise, sampling=sampling, mask=mask, kept=kept, style=style,
                   plan=plan or frame_plan(noise.shape[1], noise.device), levels=levels)  # fmt: skip
    start = noise
    if kept is not None:
        first = noised(kept.values, noise, sigma=noise.new_full((len(noise),), levels[0]))
        start = torch.where(kept.mask, first, noise)
    found = (euler if sampling.solver == "euler" else heun)(field, start, levels)
    return found if kept is None else torch.where(kept.mask, kept.values, found)


@dataclass(frozen=True)
class Drawn:
    """Motions that were drawn."""

    features: Tensor
    """`(B, T, 276)`."""
    sure: Tensor | None
    """How well each number was known before, `(B, T, 276)` in [0, 1); None where nothing was."""


def drawn_features(
    network: ViMoGen,
    condition: Condition,
    noise: Tensor,
    *,
    sampling: Sampling = DEFAULT,
    mask: Tensor | None = None,
    kept: Kept | None = None,
    style: Style | None = None,
) -> Drawn:
    """What is `sampled`, in metres on the CPU, calmed by the Gaussian of `sampling`.

    What is known of a motion is no noise: only what comes on top of the hints is smoothed. Arguments
    are those of `sampled`; features behind a motion's end are of no use.
    """
    condition = _told(network, condition, kept, doubt=sampling.doubt)
    values = sampled(
        network, condition, noise, sampling=sampling, mask=mask, kept=kept, style=style
    )
    known = 0.0 if condition.hints is None else condition.hints.values
    added, calm = values - known, torch.zeros_like(values)
    ends = [noise.shape[1]] * len(values) if mask is None else mask.sum(-1).tolist()
    for row, end in enumerate(ends):
        calm[row, :end] = smoothed(added[row, :end], sampling.smoothing)
    calm = known + calm
    sure = None if condition.hints is None else (1 - condition.hints.variance).cpu()
    return Drawn(network.restored(calm).cpu(), sure)


def trusting(noise: Noise, kept: Kept, *, doubt: float = 1.0) -> Hints:
    """Hints of kept numbers as a network that starts from `noise` is drawn from.

    Out of an hour of motion a network learns what its own clips' hints lacked, and adds it to those of
    others. Between frames that are kept a hint is nearly as good: with less variance less is added,
    least between frames in a row. How much less, and by what covariance gaps are filled, was chosen
    on val and train. Beyond them it comes to rest, and so does what is made, the less the more it is
    doubted: see `Sampling.doubt`.
    """
    inside = _between(kept.mask)
    plain = _doubted(hints_of_kept(noise, kept), kept.mask, power=doubt)
    if not bool(inside.any()):
        return plain
    pairs = kept.mask[:, 1:] & kept.mask[:, :-1]
    row = functional.pad(pairs, (0, 0, 1, 0)) | functional.pad(pairs, (0, 0, 0, 1))
    filled = hints_of_kept(noise.livelier(LIVELIER), kept, own=OWN)
    power = torch.where(_between(row), ROW_POWER, KEPT_POWER)
    return Hints(
        torch.where(inside, filled.values, plain.values),
        torch.where(inside, filled.trusted(power).variance, plain.variance),
    )


def _doubted(hints: Hints, mask: Tensor, *, power: float) -> Hints:
    """Hints that are trusted less beyond the first and last True of `mask`, the farther the less."""
    at = torch.arange(mask.shape[1], device=mask.device)[:, None]
    far = torch.full_like(at, 2 * mask.shape[1])
    before = torch.where(mask, at, -far).cummax(1).values
    behind = torch.where(mask, at, far).flip(1).cummin(1).values.flip(1)
    first, last = JOINED
    share = ((torch.minimum(at - before, behind - at) - first) / (last - first)).clamp(0, 1)
    doubted = 1 - (1 - hints.variance) ** (1 + (power - 1) * share)
    where = ~(_between(mask) | mask)
    return Hints(hints.values, torch.where(where, doubted, hints.variance))


def _between(mask: Tensor) -> Tensor:
    """Which of `(B, T, n)` are False and have a True before and one behind them."""
    before, behind = mask.int().cummax(1).values, mask.flip(1).int().cummax(1).values.flip(1)
    return before.bool() & behind.bool() & ~mask


def hinted(condition: Condition, kept: Hints | None, *, power: float = 1.0) -> Condition:
    """`condition` with what is said of kept numbers, and what its reference says, whose variances are
    taken to `power`."""
    hints = kept
    if condition.reference is not None and bool(condition.referring.any()):
        read = _read(condition).trusted(power)
        hints = read if hints is None else hints.joined(read)
    return replace(condition, hints=hints)


def _read(condition: Condition) -> Hints:
    """What references say, nothing of the samples that do not refer."""
    assert condition.reference is not None
    rows = condition.referring.nonzero()[:, 0]
    mask = None if condition.reference_mask is None else condition.reference_mask[rows]
    own = hints_of_reference(condition.reference[rows], mask)
    shape = (*condition.reference.shape[:2], SIZE)
    values = condition.reference.new_zeros(shape).index_copy(0, rows, own.values)
    variance = condition.reference.new_ones(shape).index_copy(0, rows, own.variance)
    return Hints(values, variance)


def _told(network: ViMoGen, condition: Condition, kept: Kept | None, *, doubt: float) -> Condition:
    if not network.config.hints or condition.hints is not None:
        return condition
    said = None if kept is None else trusting(network.noise, kept, doubt=doubt)
    return hinted(condition, said, power=REFERENCE_POWER)


class _Field:
    """The velocity of a batch of samples."""

    def __init__(
        self,
        network: ViMoGen,
        condition: Condition,
        noise: Tensor,
        *,
        sampling: Sampling,
        mask: Tensor | None,
        kept: Kept | None,
        style: Style | None,
        plan: AttentionPlan,
        levels: Sequence[float],
    ) -> None:
        self._network, self._noise, self._kept, self._plan = network, noise, kept, plan
        self._scale = sampling.guidance
        self._referring = condition.referring[:, None, None]
        self._twice = self._scale != 1 and not bool(condition.referring.all())
        self._mask, self._style, self._own_mask = mask, style, mask
        if self._twice:
            condition = _with_null_text(condition)
            self._mask = None if mask is None else torch.cat((mask, mask))
        self._context = network.context(condition)
        self._step = {level: step for step, level in enumerate(levels)}

    def __call__(self, state: Tensor, level: float) -> Tensor:
        self._plan.step = self._step[level]
        both = torch.cat((state, state)) if self._twice else state
        time = both.new_full((len(both),), float(self._network.config.flow.points * level))
        said = self._network.velocity(both, time, self._context, plan=self._plan, mask=self._mask)
        if self._twice:
            asked, free = said.chunk(2)
            said = torch.where(self._referring, asked, guided(free, (asked, self._scale)))
        if self._style is not None:
            said = self._style.led(said, state, level, mask=self._own_mask)
        if self._kept is None:
            return said
        return torch.where(self._kept.mask, self._noise - self._kept.values, said)


def _with_null_text(condition: Condition) -> Condition:
    """Every sample once more, its text unknown; one that refers goes on referring."""

    def twice(value: Tensor | None) -> Tensor | None:
        return None if value is None else torch.cat((value, value))

    names = ("text", "text_mask", "referring", "reference", "reference_mask")
    both = {name: twice(getattr(condition, name)) for name in names}
    dropped = torch.cat((condition.dropped, torch.ones_like(condition.dropped)))
    hints = None if condition.hints is None else condition.hints.twice()
    return replace(condition, **both, dropped=dropped, hints=hints)  # type: ignore[arg-type]


def check_seed(seed: int) -> None:
    """Raise UsageError for a seed that is none."""
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed {seed} given; give a whole number from 0 to {2**32 - 1}")


def noise_of(kind: Noise, seeds: Sequence[int], frames: Sequence[int]) -> Tensor:
    """Noise `(B, T, 276)` of motions of so many frames, 0 behind their ends.

    `kind` is that of the network which starts from it. Each sample's comes from a seed of its own,
    whatever batch it is in.
    """
    drawn = [
        kind.drawn((1, length, SIZE), generator=torch.Generator().manual_seed(seed))[0]
        for seed, length in zip(seeds, frames, strict=True)
    ]
    return pad_sequence(drawn, batch_first=True)


def smoothed(features: Tensor, width: float = 1.0) -> Tensor:
    """Features `(..., T, n)` after a Gaussian over time, `width` frames wide, cut off at twice that.

    One frame is published. Beyond its ends a motion goes on as in a mirror at a point, so that lines
    stay lines and both ends where they are; one shorter than half the Gaussian stays as it is.
    """
    frames, half = features.shape[-2], round(2 * width)
    if not 0 < half < frames:
        return features
    place = torch.arange(-half, half + 1, dtype=features.dtype, device=features.device)
    weights = torch.exp(-0.5 * (place / width) ** 2)
    first, last = features[..., :1, :], features[..., -1:, :]
    before = 2 * first - features[..., 1 : half + 1, :].flip(-2)
    behind = 2 * last - features[..., -half - 1 : -1, :].flip(-2)
    longer = torch.cat((before, features, behind), -2)
    out = torch.zeros_like(features)
    for start, weight in enumerate((weights / weights.sum()).tolist()):
        out += weight * longer[..., start : start + frames, :]
    return out
