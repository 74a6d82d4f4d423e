"""`humanmotion train light`: a teacher's motions in, a light student of few steps out; resumable.

As ViMoGen-light (arXiv 2510.26794) the student reads text alone and learns from motions that the full
model made of expanded prompts. Each motion is paired with the noise that the teacher started from, so
that the straight paths between the two do not cross (rectified flow, Liu et al. 2023: "reflow"): few
steps of Euler's follow them, and the teacher's guidance is learnt with them.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from humanmotion.body import BodyModel
from humanmotion.diffusion.flow import Flow, flow_loss, noised
from humanmotion.errors import InputError, UsageError
from humanmotion.files import sha256, writable_folder
from humanmotion.generation.captions import expanded
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.sampler import load_generator
from humanmotion.generation.sampling import Sampling, sampled
from humanmotion.generation.text import TextEncoder
from humanmotion.generation.vimogen import ViMoGen, ViMoGenConfig
from humanmotion.jobs.early_stopping import fabric_on
from humanmotion.jobs.generator_data import GeneratorWindows
from humanmotion.jobs.known_captions import write_known_beside
from humanmotion.jobs.light_pairs import LightPairs, PairSettings, make_pairs, split_pairs
from humanmotion.jobs.network_run import Draws, check_same_run, read_settings, train_in
from humanmotion.jobs.shards import Shards
from humanmotion.jobs.stages import Progress, silent
from humanmotion.jobs.train_generator import Branches, Objective

CONFIG = Path(__file__).with_name("light.toml")
ON_GRID = 0.5
"""Share of the levels of training that are ones the sampler asks about; the rest lie anywhere."""


def train_light(
    data: str | Path,
    *,
    teacher: str | Path,
    output: str | Path,
    config: str | Path = CONFIG,
    device: str = "cpu",
    encoder: TextEncoder | None = None,
    progress: Progress = silent,
) -> Path:
    """Train on what `teacher` makes of the train captions of the shards in `data`; returns the path.

    The encoder is the one that the teacher was trained with, the embedded one unless given. Raises
    InputError for data, a teacher or a config that cannot be used, MissingExtraError without the
    `train` extra. Run again after an interruption, it goes on where it was.
    """
    settings = read_light_settings(config)
    fabric = fabric_on(device, settings["precision"])
    folder, known = writable_folder(output), load_generator(teacher).to(fabric.device)
    student = untrained(settings, known, where=teacher)
    told = {"data": sha256(Path(data) / "index.jsonl"), "teacher": sha256(teacher)}
    check_same_run(folder / "light.run.json", settings | told)
    wanted = PairSettings(**settings["pairs"])
    shards = Shards.read(data)
    prompts = expanded(train_captions(shards), count=wanted.count, seed=settings["seed"])
    paths = make_pairs(folder / "pairs", known, prompts, settings=wanted, seed=settings["seed"],
                       encoder=encoder or MiniLM.load(), progress=progress)  # fmt: skip
    train, val = split_pairs(paths, noise=student.noise, device=fabric.device)
    windows = None
    if wanted.real:
        windows = GeneratorWindows.read(data, split="train", body=BodyModel.load())
    drawn = Sampling(**settings["sampling"])
    loss = _loss(train, student, drawn, windows=windows and windows.to(fabric.device),
                 real=wanted.real)  # fmt: skip
    path = train_in(
        folder, "light", student, settings=settings, losses=(loss, _held_out(val, drawn)),
        fabric=fabric, progress=progress, told={"sampling": asdict(drawn)},
    )  # fmt: skip
    if fabric.is_global_zero:
        write_known_beside(path, shards)
    return path


def read_light_settings(path: str | Path) -> dict[str, Any]:
    """A training config; raises InputError when it is none of a light student."""
    settings = read_settings(path, ViMoGenConfig, what="light student")
    try:
        PairSettings(**settings["pairs"])
        Sampling(**settings["sampling"])
        if settings["network"]["reference_blocks"] != 0:
            raise ValueError("reference_blocks must be 0: it reads text alone")
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise InputError(f"{path} is no config of a light student: {error}") from error
    return settings


def train_captions(shards: Shards) -> list[str]:
    """All captions of train, given and computed, as they are and in the mirror; InputError for none."""
    names = ("captions", "mirrored_captions")
    rows = [row for row in shards.rows if row["split"] == "train"]
    found = list(dict.fromkeys(c for name in names for row in rows for c in row[name]))
    if not found:
        raise InputError("the shards hold no caption of the train split")
    return found


def untrained(settings: dict[str, Any], teacher: ViMoGen, *, where: str | Path) -> ViMoGen:
    """The student of a config, which starts from the teacher's blocks where the two are as wide
    and predict alike.

    Of more blocks than it has it takes some evenly, the first and the last among them (Sanh et al.
    2019). Raises InputError for a teacher of other text or noise.
    """
    torch.manual_seed(settings["seed"])
    student = ViMoGen(ViMoGenConfig(**settings["network"]))
    own, full = student.config, teacher.config
    if (own.text_width, own.null_tokens) != (full.text_width, full.null_tokens):
        raise InputError(
            f"{where} reads tokens of {full.text_width} numbers, {full.null_tokens} for no text; the "
            f"config's text_width is {own.text_width} and null_tokens {own.null_tokens}; set them alike"
        )
    if own.noise != full.noise:
        raise InputError(
            f'{where} starts from noise "{full.noise}", the config\'s is "{own.noise}"; set it to that'
        )
    tensors = dict(teacher.named_buffers())
    if all(getattr(own, n) == getattr(full, n) for n in ("width", "hidden", "heads", "predicts")):
        last = max(own.blocks - 1, 1)
        taken = [round(i * (full.blocks - 1) / last) for i in range(own.blocks)]
        held = teacher.state_dict()
        tensors = {k: held[_teachers(k, taken)] for k in student.state_dict()}
    student.load_state_dict(tensors, strict=False)
    return student


def _teachers(name: str, taken: list[int]) -> str:
    """The teacher's name of a tensor of the student's."""
    if not name.startswith("blocks."):
        return name
    _, number, rest = name.split(".", 2)
    return f"blocks.{taken[int(number)]}.{rest}"


def _loss(
    pairs: LightPairs,
    student: ViMoGen,
    drawn: Sampling,
    *,
    windows: GeneratorWindows | None,
    real: float,
) -> Draws:
    """Of pairs, and at some steps of real clips, whose noise is their own."""
    objective = Objective.of(student, Branches(text=1.0, dropped=0.0))

    def loss(network: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        own = objective.to(generator.device)
        if windows is not None and _chance(generator) < real:
            return own(network, windows.draw(count, generator=generator), generator=generator)
        batch = pairs.draw(count, generator=generator)
        sigma = levels_of(own.flow, drawn, count, generator=generator)
        state = noised(batch.clean, batch.noise, sigma=sigma)
        said = network(state, own.flow.time(sigma), **vars(batch.condition))
        target, even = batch.noise - batch.clean, own.config.counted(sigma)
        asked = torch.ones_like(target, dtype=torch.bool)
        return flow_loss(said, target, weight=even, mask=asked, channels=own.channels)

    return loss


def _chance(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, device=generator.device))


def levels_of(flow: Flow, drawn: Sampling, count: int, *, generator: torch.Generator) -> Tensor:
    """Levels `(count)` to learn at: the sampler's own at ON_GRID of the draws, else any from 0 to 1."""
    at = generator.device
    grid = torch.tensor(drawn.levels(flow)[:-1], device=at)
    u = torch.rand(3, count, generator=generator, device=at)
    own = grid[(u[1] * len(grid)).long().clamp(max=len(grid) - 1)]
    return torch.where(u[0] < ON_GRID, own, flow.sigma(u[2]))


def _held_out(pairs: LightPairs, drawn: Sampling) -> Draws:
    """How far what is sampled from the teacher's noise lies from what the teacher made of it."""

    def loss(network: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        assert isinstance(network, ViMoGen)
        batch = pairs.draw(count, generator=generator)
        made = sampled(network, batch.condition, batch.noise, sampling=drawn)
        return ((made - batch.clean) ** 2).mean()

    return loss
