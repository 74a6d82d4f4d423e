"""The evaluator's weights, and what it says of the clips of a split: figures of real motion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.diffusion.weights import load_network
from humanmotion.errors import FileFormatError, InputError
from humanmotion.files import asset, read_json, write_json
from humanmotion.generation.retrieval import Evaluator, EvaluatorConfig
from humanmotion.generation.retrieval_tasks import match_threshold
from humanmotion.jobs.evaluator_data import EvaluatorPairs
from humanmotion.metrics.text import (
    Repeated,
    diversity,
    matching_distance,
    r_precision,
    repeated,
)

WEIGHTS = "evaluator/evaluator.safetensors"
_AT_ONCE = 64


def load_evaluator(weights: str | Path | None = None) -> Evaluator:
    """The shipped evaluator, or another whose `.json` lies beside its weights.

    Raises FileFormatError when the two do not fit.
    """
    path = asset(WEIGHTS) if weights is None else Path(weights)
    network: Evaluator = load_network(
        path, lambda **x: Evaluator(EvaluatorConfig(**x)), what="evaluator"
    )
    return network


def find_evaluator(weights: str | Path | None = None) -> Path | None:
    """The weights' file: in a folder of `train evaluator`, given itself, or shipped; None: not shipped.

    Raises InputError where what is given holds none.
    """
    if weights is None:
        try:
            return asset(WEIGHTS)
        except InputError:
            return None
    path = Path(weights)
    path = path / Path(WEIGHTS).name if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the folder that train evaluator wrote")
    return path


def threshold_file(weights: Path) -> Path:
    """Where the threshold of the yes/no task lies, beside the weights."""
    return weights.with_suffix(".match.json")


def read_threshold(weights: Path) -> float | None:
    """The cosine from which a label fits as well as real clips' own; None without its file.

    Raises FileFormatError for a file that holds none.
    """
    path = threshold_file(weights)
    if not path.exists():
        return None
    found = read_json(path)
    value = found.get("threshold") if isinstance(found, dict) else None
    if not isinstance(value, float) or not -1 <= value <= 1:
        raise FileFormatError(f"{path} holds no threshold; train evaluator writes one")
    return value


def write_threshold(weights: Path, real: Embedded) -> None:
    """Write the threshold that tells real clips' own labels from those of others, beside the weights.

    Nothing where all labels mean the same, for there is nothing to tell apart.
    """
    own, others = own_and_others(real)
    if len(others):
        value = match_threshold(own, others)
        write_json(threshold_file(weights), {"threshold": value, "split": "val", "clips": len(own)})


def own_and_others(embedded: Embedded) -> tuple[Tensor, Tensor]:
    """Cosines of clips with their own labels `(N)`, and with labels that mean another thing `(M)`."""
    cosines = embedded.motion @ embedded.text.mT
    return cosines.diagonal(), cosines[~embedded.same]


@dataclass(frozen=True)
class Embedded:
    """Unit vectors of `N` pairs."""

    text: Tensor
    """`(N, width)`."""
    motion: Tensor
    """`(N, width)`."""
    same: Tensor
    """Captions that mean the same `(N, N)` bool."""
    akin: Tensor | None = None
    """Clips of one action `(N, N)` bool, whatever their captions say; None: each of its own."""

    @property
    def right(self) -> Tensor:
        """Captions that are no wrong answer `(N, N)` bool: "walk" says of a walk what "a person walks"
        does, however little alike the two are to a text encoder."""
        return self.same if self.akin is None else self.same | self.akin


@torch.no_grad()
def embed(evaluator: Evaluator, pairs: EvaluatorPairs, *, seed: int = 0) -> Embedded:
    """All clips of a split, whole, each with one caption of its source."""
    generator = torch.Generator().manual_seed(seed)
    drawn = pairs.unvaried().pairs(list(pairs.clips), generator=generator)
    parts = zip(*(x.split(_AT_ONCE) for x in (
        drawn.tokens, drawn.token_mask, drawn.features, drawn.mask)), strict=True)  # fmt: skip
    found = [
        (evaluator.embed_text(tokens, there), evaluator.embed_motion(features, mask))
        for tokens, there, features, mask in parts
    ]
    text, motion = (torch.cat(side) for side in zip(*found, strict=True))
    names = [pairs.shards.rows[clip]["action"] for clip in pairs.clips]
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    action = torch.tensor([number[name] for name in names])
    return Embedded(text, motion, drawn.same, action[:, None] == action)


def retrieval_figures(
    embedded: Embedded, *, repetitions: int = 20, seed: int = 0
) -> dict[str, Repeated]:
    """R-precision at 1, 2 and 3 both ways, MM-Dist and diversity; UsageError for less than a batch."""
    text, motion, same = embedded.text, embedded.motion, embedded.same

    def ranked(a: Tensor, b: Tensor, k: int) -> Callable[[torch.Generator], float]:
        return lambda g: r_precision(a, b, same=same, generator=g)[k - 1]

    measures = {f"R@{k}": ranked(text, motion, k) for k in (1, 2, 3)}
    measures |= {f"R@{k} motion to text": ranked(motion, text, k) for k in (1, 2, 3)}
    # What a guess would get, where some captions mean the same.
    shuffled = torch.randperm(len(text), generator=torch.Generator().manual_seed(seed))
    measures |= {"R@3 of shuffled pairs": ranked(text, motion[shuffled], 3)}
    measures |= {
        "MM-Dist": lambda _: matching_distance(text, motion),
        "diversity": lambda g: diversity(motion, generator=g),
    }
    return {k: repeated(m, repetitions=repetitions, seed=seed) for k, m in measures.items()}
