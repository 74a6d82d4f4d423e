"""A teacher's motions for expanded prompts, each with the noise that it started from.

Made once, a batch a file, into `pairs/` of the output: an interrupted run goes on with the next file.
The motions are float16, as the teacher says them, before smoothing; of the noise the seed is kept,
which gives it back exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from humanmotion.diffusion.noise import Noise
from humanmotion.errors import FileFormatError
from humanmotion.files import read_tensors, writable_folder, write_tensors
from humanmotion.generation.features import FPS
from humanmotion.generation.sampling import Sampling, noise_of, sampled
from humanmotion.generation.text import TextEncoder
from humanmotion.generation.vimogen import Condition, ViMoGen
from humanmotion.jobs.stages import Progress

HELD_OUT = 16
"""One file in so many is held out."""


@dataclass(frozen=True)
class PairSettings:
    """What is made; raises ValueError for what cannot be."""

    count: int
    seconds: tuple[float, ...]
    """Lengths that files take in turn."""
    batch: int
    steps: int
    guidance: float
    start: float = 1.0
    """Unshifted level that the teacher starts from; a straight path to its noise begins at 1."""
    real: float = 0.0
    """Share of the steps of training that look at real clips instead."""

    def __post_init__(self) -> None:
        if self.batch < 1 or self.count < 2 * self.batch or not self.seconds:
            raise ValueError("pairs need a length or more, and two batches or more")
        if not all(0.5 <= s <= 10 for s in self.seconds) or not 0 <= self.real < 1:
            raise ValueError("seconds must lie in [0.5, 10], real in [0, 1)")
        object.__setattr__(self, "seconds", tuple(self.seconds))
        _ = self.sampling

    @property
    def sampling(self) -> Sampling:
        """How the teacher is drawn from."""
        return Sampling(steps=self.steps, guidance=self.guidance, start=self.start)

    @property
    def files(self) -> int:
        """The last prompts that fill no batch are left out."""
        return self.count // self.batch

    def frames(self, number: int) -> int:
        """Of the motions of one file, as many as the sampler asks for."""
        return round(self.seconds[number % len(self.seconds)] * FPS) + 1


def make_pairs(
    folder: Path,
    teacher: ViMoGen,
    prompts: Sequence[str],
    *,
    settings: PairSettings,
    encoder: TextEncoder,
    seed: int,
    progress: Progress,
) -> list[Path]:
    """Write what is not there yet, on the teacher's device; returns all files in their order."""
    writable_folder(folder)
    paths = []
    for number in range(settings.files):
        path = folder / f"{number:05d}.safetensors"
        if not path.exists():
            rows = range(number * settings.batch, (number + 1) * settings.batch)
            seeds = [seed * 1_000_003 + row for row in rows]
            texts = [prompts[row] for row in rows]
            write_tensors(path, _pairs(teacher, texts, seeds, number=number, settings=settings,
                                       encoder=encoder))  # fmt: skip
        paths.append(path)
        progress("pairs", (number + 1) / settings.files)
    return paths


def _pairs(
    teacher: ViMoGen,
    texts: Sequence[str],
    seeds: Sequence[int],
    *,
    number: int,
    settings: PairSettings,
    encoder: TextEncoder,
) -> dict[str, Tensor]:
    device, said = teacher.mean.device, encoder.encode(texts)
    no = torch.zeros(len(texts), dtype=torch.bool, device=device)
    condition = Condition(said.tokens.to(device), said.mask.to(device), no, no)
    noise = noise_of(teacher.noise, seeds, [settings.frames(number)] * len(texts)).to(device)
    made = sampled(teacher, condition, noise, sampling=settings.sampling)
    return {
        "clean": made.half().cpu(), "seeds": torch.tensor(seeds),
        "tokens": said.tokens.half().cpu(), "mask": said.mask.cpu(),
    }  # fmt: skip


@dataclass(frozen=True)
class PairBatch:
    """`B` pairs of `T` frames."""

    clean: Tensor
    """Normalised features `(B, T, 276)`."""
    noise: Tensor
    """`(B, T, 276)`."""
    condition: Condition


@dataclass(frozen=True)
class _OneLength:
    clean: Tensor
    """`(N, T, 276)` float16, as the noise."""
    noise: Tensor
    text: Tensor
    """Rows of the tokens `(N)`."""


@dataclass(frozen=True)
class LightPairs:
    """Pairs in memory, those of one length together so that none is padded."""

    lengths: tuple[_OneLength, ...]
    tokens: Tensor
    """`(N, L, d)` float16."""
    mask: Tensor
    """`(N, L)` bool."""

    @classmethod
    def read(
        cls, paths: Sequence[Path], *, noise: Noise, device: torch.device | str = "cpu"
    ) -> LightPairs:
        """Pairs of a teacher that starts from `noise`; FileFormatError for files that hold none."""
        held = [read_tensors(path) for path in paths]
        by_length: dict[int, list[_OneLength]] = {}
        tokens, masks, row = [], [], 0
        for path, part in zip(paths, held, strict=True):
            if part.keys() != {"clean", "seeds", "tokens", "mask"}:
                raise FileFormatError(f"{path} holds no pairs; remove it to have it made anew")
            count, frames = part["clean"].shape[:2]
            own = noise_of(noise, part["seeds"].tolist(), [frames] * count).half()
            text = torch.arange(row, row + count)
            by_length.setdefault(frames, []).append(_OneLength(part["clean"], own, text))
            tokens.append(part["tokens"])
            masks.append(part["mask"])
            row += count
        longest = max(t.shape[1] for t in tokens)
        padded = [functional.pad(t, (0, 0, 0, longest - t.shape[1])) for t in tokens]
        mask = [functional.pad(m, (0, longest - m.shape[1])) for m in masks]
        lengths = tuple(_joined(parts, device) for _, parts in sorted(by_length.items()))
        return cls(lengths, torch.cat(padded).to(device), torch.cat(mask).to(device))

    def draw(self, count: int, *, generator: torch.Generator) -> PairBatch:
        """`count` pairs of one length; each pair is as likely."""
        at = generator.device
        sizes = torch.tensor([float(len(x.clean)) for x in self.lengths], device=at)
        own = self.lengths[int(sizes.multinomial(1, generator=generator))]
        rows = torch.randint(len(own.clean), (count,), generator=generator, device=at)
        text = own.text[rows]
        mask = self.mask[text]
        words = slice(int(mask.sum(1).max()))
        no = torch.zeros(count, dtype=torch.bool, device=at)
        condition = Condition(self.tokens[text, words].float(), mask[:, words], no, no)
        return PairBatch(own.clean[rows].float(), own.noise[rows].float(), condition)


def _joined(parts: Sequence[_OneLength], device: torch.device | str) -> _OneLength:
    names = ("clean", "noise", "text")
    return _OneLength(*(torch.cat([getattr(p, n) for p in parts]).to(device) for n in names))


def split_pairs(
    paths: Sequence[Path], *, noise: Noise, device: torch.device | str
) -> tuple[LightPairs, LightPairs]:
    """Those that are learnt from, and one file in HELD_OUT, at least one, that is not."""
    held = [i for i in range(len(paths)) if i % HELD_OUT == HELD_OUT - 1] or [len(paths) - 1]
    train = [path for i, path in enumerate(paths) if i not in held]
    return (
        LightPairs.read(train, noise=noise, device=device),
        LightPairs.read([paths[i] for i in held], noise=noise, device=device),
    )
