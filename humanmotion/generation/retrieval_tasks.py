"""MBench's two questions put to the evaluator instead of a vision-language model.

`MCC-retrieval`: is the clip's own label the one of ten that fits it best. `MG-retrieval`: does the
label fit as well as labels of real clips do. They are no MBench numbers, and their names say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.generation.features import features_of
from humanmotion.generation.retrieval import Evaluator
from humanmotion.generation.text import TextEncoder
from humanmotion.metrics.mbench_value import MetricValue
from humanmotion.metrics.prompt_tasks import checked_label
from humanmotion.motion import Motion

WRONG = 9
"""Labels besides the right one: a guess is right one time in ten."""
_SHORTEST = 2


@dataclass(frozen=True, eq=False)
class RetrievalJudge:
    """The evaluator with all that it needs to look at a motion and a label."""

    evaluator: Evaluator
    encoder: TextEncoder
    body: BodyModel

    @torch.no_grad()
    def similarities(self, motion: Motion, labels: Sequence[str]) -> Tensor:
        """Cosines `(N)` of a motion and labels; UsageError as `features_of` and `checked_label`."""
        said = self.encoder.encode([checked_label(x) for x in labels])
        features = features_of(motion, self.body)[None]
        there = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
        text = self.evaluator.embed_text(said.tokens, said.mask)
        return (text @ self.evaluator.embed_motion(features, there).mT)[:, 0]

    def choice(self, motion: Motion, *, right: str, wrong: Sequence[str]) -> MetricValue:
        """1 where no wrong label fits better than the right one or as well, else 0."""
        if not wrong:
            return MetricValue(None, "no wrong label to choose from")
        if reason := _too_short(motion):
            return MetricValue(None, reason)
        found = self.similarities(motion, [right, *wrong])
        return MetricValue(float(found[0] > found[1:].max()), None)

    def match(self, motion: Motion, *, label: str, threshold: float) -> MetricValue:
        """1 where the label's cosine is above `threshold` (see `match_threshold`), else 0."""
        if reason := _too_short(motion):
            return MetricValue(None, reason)
        return MetricValue(float(self.similarities(motion, [label])[0] > threshold), None)


def match_threshold(own: Tensor, others: Tensor) -> float:
    """The cosine that best tells real clips' own labels `(N)` from other clips' labels `(M)`.

    Halfway between the two cosines around the best cut; best by the mean of the two rates of being
    right. Raises UsageError without both.
    """
    if not len(own) or not len(others):
        raise UsageError(f"{len(own)} own and {len(others)} other labels given; give some of both")
    values = torch.cat((own, others)).double().unique()
    ends = torch.stack((values[0] - 1, values[-1] + 1))
    cuts = torch.cat((ends[:1], (values[1:] + values[:-1]) / 2, ends[1:]))
    said = (own.double() > cuts[:, None]).double().mean(1)
    kept = (others.double() <= cuts[:, None]).double().mean(1)
    return float(cuts[(said + kept).argmax()])


def _too_short(motion: Motion) -> str | None:
    frames = int(motion.duration * 20 + 1e-6) + 1
    return None if frames >= _SHORTEST else f"{frames} frame at 20 fps; the evaluator needs two"


def choice_hits(
    text: Tensor, motion: Tensor, *, same: Tensor, generator: torch.Generator, wrong: int = WRONG
) -> Tensor:
    """Whether each of `N` motions fits its own text better than `wrong` others, `(N)` bool.

    `text` and `motion` `(N, d)` are paired unit vectors; others are drawn from the texts that do not
    mean the `same` `(N, N)`. Raises UsageError where there are too few of them.
    """
    others = ~same
    if not len(text) or int(others.sum(1).min()) < wrong:
        raise UsageError(
            f"{len(text)} pairs given; each needs {wrong} texts that mean something else"
        )
    order = torch.rand(same.shape, generator=generator).masked_fill(same, 2.0)
    drawn = order.topk(wrong, largest=False).indices
    cosines = motion @ text.mT
    return cosines.diagonal() > cosines.gather(1, drawn).amax(1)
