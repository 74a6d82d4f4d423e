"""How well motions fit texts, and how alike two sets of motions are, in the space of an evaluator.

All take embeddings, one row a text or motion, as any retrieval model makes them (HumanML3D's protocol,
Guo et al. 2022; TMR, Petrovich et al. 2023). Numbers of different evaluators do not compare.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.metrics.distributions import moment_distance

SAME = 0.8
"""Captions whose sentences are more alike than this (cosine) count as the same."""
BATCH = 32
COMPONENTS = 32
"""Most principal components that distributions are compared in: small sets fill no more."""


@dataclass(frozen=True)
class Repeated:
    """A number's mean over repetitions, and half its 95 % interval."""

    mean: float
    half_width: float
    repetitions: int


def repeated(
    measure: Callable[[torch.Generator], float], *, repetitions: int = 20, seed: int = 0
) -> Repeated:
    """Mean of a measure over draws of its own and 1.96 standard errors; UsageError below 2 draws."""
    if repetitions < 2:
        raise UsageError(f"{repetitions} repetitions given; an interval needs at least 2")
    found = torch.tensor(
        [measure(torch.Generator().manual_seed(seed * 1_000_003 + i)) for i in range(repetitions)],
        dtype=torch.float64,
    )
    half = 1.96 * float(found.std()) / repetitions**0.5
    return Repeated(float(found.mean()), half, repetitions)


def same_captions(sentences: Tensor) -> Tensor:
    """Which captions mean the same `(N, N)` bool, from unit sentence vectors `(N, d)`."""
    alike = sentences @ sentences.mT > SAME
    return alike | torch.eye(len(alike), dtype=torch.bool, device=alike.device)


def r_precision(
    text: Tensor,
    motion: Tensor,
    *,
    same: Tensor,
    generator: torch.Generator,
    most: int = 3,
    batch: int = BATCH,
) -> tuple[float, ...]:
    """Shares of texts with a motion of theirs among the 1, 2, ... `most` nearest of `batch`.

    `text` and `motion` `(N, d)` are paired; `same` `(N, N)` says which captions mean the same, so whose
    motions count as theirs. Pairs are dealt anew into whole batches; the rest is left out this time.
    Raises UsageError for fewer pairs than a batch.
    """
    _check_pairs(text, motion)
    if len(text) < batch or batch < most:
        raise UsageError(f"{len(text)} pairs given; batches hold {batch}, ranks {most}")
    dealt = torch.randperm(len(text), generator=generator)[: len(text) // batch * batch]
    hits = torch.zeros(most, dtype=torch.float64)
    for rows in dealt.reshape(-1, batch):
        near = torch.cdist(text[rows].double(), motion[rows].double()).topk(most, largest=False)
        theirs = same[rows][:, rows].gather(1, near.indices)
        hits += theirs.cummax(1).values.double().sum(0)
    return tuple((hits / len(dealt)).tolist())


def matching_distance(text: Tensor, motion: Tensor) -> float:
    """MM-Dist: mean distance of paired texts and motions `(N, d)`."""
    _check_pairs(text, motion)
    return float((text.double() - motion.double()).norm(dim=-1).mean())


def frechet_distance(real: Tensor, made: Tensor, *, components: int = COMPONENTS) -> float:
    """FID of motions `(M, d)` against real ones `(N, d)`, in principal components of the real ones."""
    return moment_distance(*_reduced(real, made, components))


def kernel_distance(real: Tensor, made: Tensor, *, components: int = COMPONENTS) -> float:
    """KID, unbiased, kernel `(x y / d + 1)^3`, in the same components (Binkowski et al. 2018).

    About 0, also below, for two draws of one distribution, however small they are.
    """
    x, y = _reduced(real, made, components)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.mT / a.shape[-1] + 1) ** 3

    def within(a: Tensor) -> Tensor:
        k = kernel(a, a)
        return (k.sum() - k.trace()) / (len(a) * (len(a) - 1))

    return float(within(x) + within(y) - 2 * kernel(x, y).mean())


def _reduced(real: Tensor, made: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Both sets about the mean of the real one, along its first principal components."""
    if min(len(real), len(made)) < 2 or real.shape[1:] != made.shape[1:] or components < 1:
        raise UsageError(
            f"embeddings {tuple(real.shape)} and {tuple(made.shape)}, {components} components given; "
            "give two or more rows each of one width, and a component or more"
        )
    centre = real.double().mean(0)
    count = min(components, len(real) - 1, real.shape[1])
    axes = torch.linalg.svd(real.double() - centre, full_matrices=False).Vh[:count]
    return (real.double() - centre) @ axes.mT, (made.double() - centre) @ axes.mT


def diversity(motion: Tensor, *, generator: torch.Generator, pairs: int = 300) -> float:
    """Mean distance of random pairs of different motions `(N, d)`; UsageError for fewer than two."""
    first, second = _different_pairs(len(motion), pairs, generator)
    return float((motion[first].double() - motion[second].double()).norm(dim=-1).mean())


def multimodality(motion: Tensor, *, generator: torch.Generator, pairs: int = 10) -> float:
    """Mean distance of random pairs of samples of one text, over texts: `(texts, samples, d)`."""
    each: Sequence[float] = [diversity(m, generator=generator, pairs=pairs) for m in motion]
    return float(torch.tensor(each, dtype=torch.float64).mean())


def _different_pairs(count: int, pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    if count < 2:
        raise UsageError(f"{count} motions given; pairs need at least 2")
    first = torch.randint(count, (pairs,), generator=generator)
    step = torch.randint(1, count, (pairs,), generator=generator)
    return first, (first + step) % count


def _check_pairs(text: Tensor, motion: Tensor) -> None:
    if text.ndim != 2 or text.shape != motion.shape or not len(text):
        raise UsageError(
            f"texts {tuple(text.shape)} and motions {tuple(motion.shape)} given; give pairs (N, d)"
        )
