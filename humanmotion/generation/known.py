"""What a generator was taught, and a plain word where a prompt asks for something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from humanmotion.errors import FileFormatError, UsageError
from humanmotion.files import read_json, read_tensors


@dataclass(frozen=True)
class KnownCaptions:
    """Captions that were learnt from, and how alike a prompt must be to one of them."""

    captions: tuple[str, ...]
    sentences: Tensor
    """Unit sentence vectors `(N, d)`."""
    threshold: float
    """Cosine below which a prompt is taken as unknown."""

    def __post_init__(self) -> None:
        if len(self.captions) != len(self.sentences) or not self.captions:
            raise UsageError(
                f"{len(self.captions)} captions and {len(self.sentences)} sentences given; give as "
                "many of each, and at least one"
            )

    def nearest(self, sentence: Tensor, *, count: int = 3) -> tuple[tuple[str, float], ...]:
        """The captions most alike to a sentence `(d)`, best first, with their cosines."""
        alike = self.sentences.float() @ sentence.float()
        best = alike.topk(min(count, len(alike)))
        return tuple(
            (self.captions[i], v)
            for v, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        )

    def note(self, prompt: str, sentence: Tensor) -> str | None:
        """One line for the user where a prompt is unknown, else None."""
        near = self.nearest(sentence)
        if near[0][1] >= self.threshold:
            return None
        names = "; ".join(f'"{caption}"' for caption, _ in near)
        return (
            f'"{prompt}" is unlike all that was learnt (similarity {near[0][1]:.3f}, known from '
            f"{self.threshold:.3f} on); the motion may not show it. Nearest known: {names}"
        )


def read_known(path: str | Path) -> KnownCaptions:
    """From `<path>.safetensors` and `<path>.json`; raises FileFormatError when the two do not fit."""
    path = Path(path)
    told = read_json(path.with_suffix(".json"))
    held = read_tensors(path.with_suffix(".safetensors"))
    try:
        captions = tuple(map(str, told["captions"]))
        return KnownCaptions(captions, held["sentences"], float(told["threshold"]))
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise FileFormatError(f"{path} holds no known captions: {error}") from error


def best_threshold(known: Sequence[float], unknown: Sequence[float]) -> float:
    """The cosine that tells known prompts from unknown ones best: mean of both shares told rightly.

    Of equals the lowest, so that fewer known prompts are warned of. Raises UsageError where either
    kind is missing.
    """
    if not known or not unknown:
        raise UsageError(
            f"{len(known)} known and {len(unknown)} unknown prompts given; give at least one each"
        )
    candidates = sorted({*known, *unknown})

    def told(threshold: float) -> float:
        right = sum(k >= threshold for k in known) / len(known)
        return right + sum(u < threshold for u in unknown) / len(unknown)

    return max(candidates, key=told)
