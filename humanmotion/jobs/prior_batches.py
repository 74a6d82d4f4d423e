"""Batches of poses and windows that the prior's networks are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from humanmotion.jobs.prior_data import PoseSet, distinct, read_poses, windows
from humanmotion.prior.baselines import Gaussian
from humanmotion.prior.model import WINDOW, Kind
from humanmotion.prior.noise_plan import draw_parts
from humanmotion.prior.space import (
    BODY,
    EXPRESSION_TOKEN,
    EYES,
    JAW,
    LEFT_HAND,
    RIGHT_HAND,
    SIZE,
    PoseSpace,
    spread_tokens,
)
from humanmotion.prior.synthetic import sample_faces, sample_hands
from humanmotion.rotations import rotvec_to_matrix

SYNTHETIC = 40_000
"""Made-up hands and faces that are drawn from."""
ASKED_SHARE = 0.5
"""Of the fingers and faces that are made up, so many count as recorded, by chance."""
SHOWN_SHARE = 0.5
"""Chance of eyes, a hand, a face and a body's gaps to be shown, whatever the source recorded."""
THIN = 8
"""One frame in so many decides what the means and spreads are."""
MIX_SHARE = 0.25
"""Samples in which a part of the body is somebody else's."""
SIZE_RANGE = (0.9, 1.1)
"""Factors on how far a pose is from the mean one."""
STRIDE = 5
"""Frames between the starts of training windows."""
EXPRESSION = slice(EXPRESSION_TOKEN, EXPRESSION_TOKEN + 1)
FILLED = [i for part in (BODY, EYES) for i in range(3 * part.start, 3 * part.stop)]
"""Numbers whose gaps are drawn from a Gaussian in training."""
_FLIP = torch.tensor((1.0, -1.0, -1.0))


class Batches(Protocol):
    """What a network is trained on."""

    def draw(self, count: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """States `(count, ..., 172)`, and which of their tokens are shown and which were recorded, both
        `(count, ..., 55)`.

        The generator lives where the corpus lies.
        """


@dataclass(frozen=True)
class MadeUp:
    """Hands and faces from the anatomical sampler, as state numbers."""

    left: Tensor
    """`(M, 45)`."""
    right: Tensor
    """`(M, 45)`."""
    face: Tensor
    """Jaw and expression `(M, 13)`."""

    def fill(self, state: Tensor, recorded: Tensor, *, generator: torch.Generator) -> None:
        """Put made-up hands and faces where there are none, in place; windows hold one each.

        `state` `(B, T, 172)`, `recorded` `(B, T, 55)`; a hand or face of which nothing was recorded
        is marked as recorded in ASKED_SHARE of the samples.
        """
        count = len(state)
        for values, tokens in (
            (self.left, (LEFT_HAND,)),
            (self.right, (RIGHT_HAND,)),
            (self.face, (JAW, EXPRESSION)),
        ):
            drawn = values[_rows(values, count, generator)]
            asked = _some(count, ASKED_SHARE, generator)
            for token in tokens:
                numbers = _numbers(token)
                own, drawn = drawn.tensor_split([numbers.stop - numbers.start], -1)
                _put(state[..., numbers], recorded[..., token], own, asked)


def _put(state: Tensor, recorded: Tensor, values: Tensor, asked: Tensor) -> None:
    """Put `values` `(B, n)` where `state` `(B, T, n)` was not `recorded` `(B, T, k)`, in place.

    Where nothing was, they are marked as recorded if `asked` `(B)`.
    """
    gone = ~recorded
    there = gone.repeat_interleave(state.shape[-1] // recorded.shape[-1], -1)
    state.copy_(torch.where(there, values[:, None], state))
    recorded |= (gone.all(-1).all(-1) & asked)[:, None, None]


def _numbers(token: slice) -> slice:
    """Numbers of a run of tokens."""
    return slice(3 * token.start, SIZE if token is EXPRESSION else 3 * token.stop)


def _some(count: int, share: float, generator: torch.Generator) -> Tensor:
    """Samples `(count)` bool, so many of them by chance."""
    return torch.rand(count, generator=generator, device=generator.device) < share


def _rows(values: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return torch.randint(len(values), (count,), generator=generator, device=generator.device)


@dataclass(frozen=True)
class Corpus:
    """Training poses and their mirror images in the prior's numbers."""

    space: PoseSpace
    state: Tensor
    """`(2 N, 172)`; in training, gaps in bodies and eyes are drawn as a Gaussian has them."""
    recorded: Tensor
    """`(2 N, 55)` bool."""
    rows: Tensor
    """Distinct poses `(R)`."""
    starts: Tensor
    """Windows of frames `(W, 60)`."""
    made_up: MadeUp

    def batches(self, kind: Kind, *, varied: bool) -> Batches:
        """Single poses, or windows; as they are, or `varied` to make more of them."""
        index = self.rows[:, None] if kind == "pose" else self.starts
        return _Draw(self, index, kind, varied)

    def to(self, device: torch.device | str) -> Corpus:
        """The same corpus with its tensors on `device`."""
        made_up = MadeUp(*(x.to(device) for x in
                           (self.made_up.left, self.made_up.right, self.made_up.face)))  # fmt: skip
        return Corpus(self.space.to(device), self.state.to(device), self.recorded.to(device),
                      self.rows.to(device), self.starts.to(device), made_up)  # fmt: skip


@dataclass(frozen=True)
class _Draw:
    corpus: Corpus
    index: Tensor
    kind: Kind
    varied: bool

    def draw(self, count: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """As `Batches`."""
        at = generator.device
        rows = self.index[_rows(self.index, count, generator)]
        mirrored = torch.rand(count, 1, generator=generator, device=at) < 0.5
        rows = rows + mirrored * (len(self.corpus.state) // 2)
        if self.kind == "motion":
            backwards = torch.rand(count, 1, generator=generator, device=at) < 0.2
            rows = torch.where(backwards, rows.flip(-1), rows)
        state, recorded = self.corpus.state[rows], self.corpus.recorded[rows]
        if self.varied:
            state, recorded = _varied(state, recorded, generator=generator)
        gaps = recorded.clone()
        self.corpus.made_up.fill(state, recorded, generator=generator)
        if self.kind == "motion":
            return state, recorded, recorded
        state, recorded, gaps = state[:, 0], recorded[:, 0], gaps[:, 0]
        shown = _shown(gaps, generator=generator) if self.varied else recorded
        return state, shown, recorded


def _shown(recorded: Tensor, *, generator: torch.Generator) -> Tensor:
    """Which tokens `(B, 55)` of poses are shown: as if another data set had recorded them.

    Sets differ in what they record and in how people move; a network must not learn to tell from the
    gaps how a body moves. A body has the gaps of another of the poses `recorded` `(B, 55)`, or none.
    """
    count = len(recorded)
    shown = recorded[torch.randperm(count, generator=generator, device=recorded.device)]
    shown[:, BODY] |= _some(count, SHOWN_SHARE, generator)[:, None]
    for part in (EYES, LEFT_HAND, RIGHT_HAND):
        shown[:, part] = _some(count, SHOWN_SHARE, generator)[:, None]
    face = _some(count, SHOWN_SHARE, generator)[:, None]
    shown[:, JAW] = shown[:, EXPRESSION] = face
    return shown


def _varied(
    state: Tensor, recorded: Tensor, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Larger and smaller movements, and bodies put together from two: an hour of motion is little.

    `state` `(B, T, 172)`, `recorded` `(B, T, 55)`; limbs are exchanged within the batch.
    """
    count = len(state)
    at = generator.device
    other = torch.randperm(count, generator=generator, device=at)
    mixed = torch.rand(count, 1, generator=generator, device=at) < MIX_SHARE
    part = (draw_parts(count, generator=generator) & mixed)[:, None]
    recorded = torch.where(part, recorded[other], recorded)
    state = torch.where(spread_tokens(part), state[other], state)
    share = torch.rand(count, 1, 1, generator=generator, device=at)
    return state * (SIZE_RANGE[0] + (SIZE_RANGE[1] - SIZE_RANGE[0]) * share), recorded


def read_corpus(
    data: str | Path, *, split: str, seed: int, space: PoseSpace | None = None
) -> Corpus:
    """The corpus of one split; without a `space` one is fitted to it, and gaps are filled."""
    poses = read_poses(data, split=split)
    generator = torch.Generator().manual_seed(seed)
    hands = sample_hands(SYNTHETIC, generator=generator)
    expression, jaw = sample_faces(SYNTHETIC, generator=generator)
    both = (poses, poses.mirrored())
    training = space is None
    if space is None:
        thinned = poses[torch.arange(0, len(poses), THIN)]
        space = _fitted((thinned, thinned.mirrored()), hands, expression, jaw)
    state = torch.cat([space.to_state(_with_root(p.rotations), p.expression) for p in both])
    recorded = torch.cat([p.recorded for p in both])
    if training:
        own, there = (x[:, FILLED] for x in (state, spread_tokens(recorded).float()))
        state[:, FILLED] = Gaussian.fit(own, there).filled(own, there, generator=generator)
    return Corpus(
        space=space,
        state=state,
        recorded=recorded,
        rows=distinct(poses),
        starts=windows(poses, frames=WINDOW, stride=STRIDE),
        made_up=_made_up(space, hands, expression, jaw),
    )


def _with_root(joints: Tensor) -> Tensor:
    return torch.cat((torch.eye(3).expand(len(joints), 1, 3, 3), joints), 1)


def _fitted(
    both: tuple[PoseSet, PoseSet], hands: Tensor, expression: Tensor, jaw: Tensor
) -> PoseSpace:
    """The space of the recorded poses and about as many made-up hands and faces."""
    count = min(len(hands), len(both[0]))
    hands, expression, jaw = hands[:count], expression[:count], jaw[:count]
    rotvec = torch.zeros(count, EXPRESSION_TOKEN, 3)
    weights = torch.zeros(count, EXPRESSION_TOKEN + 1)
    rotvec[:, LEFT_HAND], rotvec[:, RIGHT_HAND] = hands, hands * _FLIP
    rotvec[:, JAW] = jaw[:, None]
    weights[:, LEFT_HAND] = weights[:, RIGHT_HAND] = 1.0
    weights[:, JAW] = 1.0
    weights[:, EXPRESSION_TOKEN] = 1.0
    return PoseSpace.fit(
        torch.cat([*(p.rotations for p in both), rotvec_to_matrix(rotvec)]),
        torch.cat([*(p.expression for p in both), expression]),
        weights=torch.cat([*(p.recorded.float() for p in both), weights]),
    )


def _made_up(space: PoseSpace, hands: Tensor, expression: Tensor, jaw: Tensor) -> MadeUp:
    rotvec = torch.zeros(len(hands), EXPRESSION_TOKEN, 3)
    rotvec[:, LEFT_HAND], rotvec[:, RIGHT_HAND] = hands, hands * _FLIP
    rotvec[:, JAW] = jaw[:, None]
    state = space.to_state(_with_root(rotvec_to_matrix(rotvec)), expression)
    jaw_and_face = (
        state[:, 3 * JAW.start : 3 * JAW.stop],
        state[:, 3 * EXPRESSION_TOKEN :],
    )
    return MadeUp(
        left=state[:, 3 * LEFT_HAND.start : 3 * LEFT_HAND.stop],
        right=state[:, 3 * RIGHT_HAND.start : 3 * RIGHT_HAND.stop],
        face=torch.cat(jaw_and_face, -1),
    )
