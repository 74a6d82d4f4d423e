"""What `bench generation` works on: held-out clips with a caption each, and what models make of those.

Motions are judged as a user gets them, at 30 fps and cleaned up, and encoded anew at 20 fps as real
clips are, so that what a model writes beside its rotations counts nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from humanmotion.bench.generation_mdm import MDMToMotion, load_mdm_to_motion
from humanmotion.body import BodyModel
from humanmotion.errors import InputError
from humanmotion.files import asset
from humanmotion.generation.cleanup import cleaned
from humanmotion.generation.features import FPS, JOINTS, POSITIONS, features_of
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.retrieval import Evaluator
from humanmotion.generation.sampler import LONGEST, SHORTEST, TextToMotion
from humanmotion.generation.text import TextEncoder
from humanmotion.jobs.evaluator_data import EvaluatorPairs
from humanmotion.jobs.evaluator_scores import load_evaluator
from humanmotion.jobs.shards import Shards
from humanmotion.metrics.text import same_captions
from humanmotion.motion import Motion

Makes = Callable[[Sequence[str], Sequence[float], int], list[Motion]]
"""From texts, their seconds and a seed to a motion each."""
SPLITS = ("seen", "test")
"""Held-out takes of actions that were learnt, and actions that were not."""
NAMES = ("generator", "light", "evaluator", "mdm_0")
"""Weights that a folder may hold, `.safetensors` each."""
FOLDERS = {"light": "generator"}
"""Of assets, where weights lie in another's."""
_AT_ONCE = 64


@dataclass(frozen=True)
class Material:
    """Data and models of one run."""

    shards: Shards
    evaluator: Evaluator
    body: BodyModel
    weights: Path
    """Of the generator."""
    make: TextToMotion
    light: TextToMotion | None
    """The light, few-step student; None without its weights."""
    mdm: MDMToMotion | None
    """The published recipe on the same data; None without its weights."""

    @classmethod
    def read(
        cls, shards: Shards, *, weights: Path | None, encoder: TextEncoder | None = None
    ) -> Material:
        """Models from the folder `weights`, what it lacks from what is shipped.

        Raises InputError where neither holds the generator or the evaluator, or the folder nothing.
        """
        check_weights(weights)
        body, encoder = BodyModel.load(), encoder or MiniLM.load()
        own = found_weights(weights, "generator")
        if own is None:
            raise InputError(
                f"{weights or 'the package'} holds no generator.safetensors; "
                "humanmotion train generator makes it"
            )
        student = found_weights(weights, "light")
        light = None
        if student is not None:
            light = TextToMotion.from_pretrained(student, encoder=encoder, body=body)
        return cls(
            shards, load_evaluator(found_weights(weights, "evaluator")), body, own,
            make=TextToMotion.from_pretrained(own, encoder=encoder, body=body),
            light=light,
            mdm=None if weights is None else load_mdm_to_motion(weights, encoder, body=body),
        )  # fmt: skip

    def held(self, split: str, *, most: int | None = None, seed: int = 0) -> Held:
        """Captioned clips of a split, at most so many of them; raises InputError without any."""
        pairs = EvaluatorPairs.of(self.shards, split=split).unvaried()
        clips = pairs.clips
        if most is not None and len(clips) > most:
            order = torch.randperm(len(clips), generator=torch.Generator().manual_seed(seed))
            clips = tuple(clips[i] for i in sorted(order[:most].tolist()))
        drawn = pairs.pairs(list(clips), generator=torch.Generator().manual_seed(seed))
        features = [f[: int(m.sum())] for f, m in zip(drawn.features, drawn.mask, strict=True)]
        return Held(
            name=split,
            clips=clips,
            captions=tuple(self.shards.captions[i] for i in drawn.rows.tolist()),
            rows=drawn.rows,
            features=tuple(features),
            text=embedded_text(self.evaluator, drawn.tokens, drawn.token_mask),
            real=embedded_motion(self.evaluator, features),
            same=same_captions(self.shards.sentences[drawn.rows]),
        )


@dataclass(frozen=True)
class Held:
    """`N` held-out clips of a split, each with one caption of its source."""

    name: str
    clips: tuple[int, ...]
    """Numbers in the shards."""
    captions: tuple[str, ...]
    rows: Tensor
    """Which of the shards' captions these are `(N)`."""
    features: tuple[Tensor, ...]
    """Of the real motions, `(T, 276)` each."""
    text: Tensor
    """What the evaluator makes of the captions `(N, d)`."""
    real: Tensor
    """And of the real motions `(N, d)`."""
    same: Tensor
    """Captions that mean the same `(N, N)` bool."""

    @property
    def seconds(self) -> list[float]:
        """Lengths to be asked for; those of the real clips, as far as the model goes."""
        return [min(max((len(f) + 1) / FPS, SHORTEST), LONGEST) for f in self.features]


@dataclass(frozen=True)
class Made:
    """What a model made of the captions of `Held`, `S` times."""

    features: tuple[tuple[Tensor, ...], ...]
    """By time and clip, `(T, 276)` each."""
    embedded: Tensor
    """`(N, S, d)`."""


def made_by(
    makes: Makes,
    held: Held,
    *,
    seeds: Sequence[int],
    material: Material,
    cleanup: bool = True,
) -> Made:
    """Every caption's motion, of the length of its real clip, once for each seed."""
    body = material.body
    order = sorted(range(len(held.clips)), key=lambda i: len(held.features[i]))
    texts, seconds = [held.captions[i] for i in order], [held.seconds[i] for i in order]
    rounds = []
    for seed in seeds:
        made = makes(texts, seconds, seed)
        done = [cleaned(motion, body) for motion in made] if cleanup else made
        motions = dict(zip(order, done, strict=True))
        rounds.append(tuple(features_of(motions[i], body) for i in range(len(order))))
    each = [embedded_motion(material.evaluator, features) for features in rounds]
    return Made(tuple(rounds), torch.stack(each, 1))


def maker(make: TextToMotion, *, steps: int | None = None, guidance: float | None = None) -> Makes:
    """A model with these settings, its own ones where none are given."""

    def makes(texts: Sequence[str], seconds: Sequence[float], seed: int) -> list[Motion]:
        return make(texts, seconds=seconds, seed=seed, steps=steps, guidance=guidance)

    return makes


@torch.no_grad()
def embedded_text(evaluator: Evaluator, tokens: Tensor, mask: Tensor) -> Tensor:
    """Unit vectors `(N, d)` of tokens `(N, L, d_text)`."""
    parts = zip(tokens.float().split(_AT_ONCE), mask.split(_AT_ONCE), strict=True)
    return torch.cat([evaluator.embed_text(*part) for part in parts])


@torch.no_grad()
def embedded_motion(evaluator: Evaluator, features: Sequence[Tensor]) -> Tensor:
    """Unit vectors `(N, d)` of motions `(T, 276)` of any lengths."""
    found = []
    for at in range(0, len(features), _AT_ONCE):
        part = features[at : at + _AT_ONCE]
        lengths = torch.tensor([len(f) for f in part])
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        found.append(evaluator.embed_motion(pad_sequence(list(part), batch_first=True), mask))
    return torch.cat(found)


def joints_in(features: Tensor) -> Tensor:
    """The 22 joints `(T, 22, 3)` that features `(T, 276)` hold."""
    return features[:, POSITIONS].unflatten(-1, (JOINTS, 3))


def check_weights(weights: Path | None) -> None:
    """Raise InputError for a folder that holds none of NAMES."""
    if weights is not None and not any((weights / f"{n}.safetensors").exists() for n in NAMES):
        raise InputError(
            f"{weights} holds no weights to measure; give a folder with one of "
            f"{', '.join(f'{n}.safetensors' for n in NAMES)}"
        )


def found_weights(weights: Path | None, name: str) -> Path | None:
    """`name` in the folder, else the shipped one, if there is any."""
    if weights is not None and (weights / f"{name}.safetensors").exists():
        return weights / f"{name}.safetensors"
    try:
        return asset(f"{FOLDERS.get(name, name)}/{name}.safetensors")
    except InputError:
        return None
