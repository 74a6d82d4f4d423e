"""`humanmotion train generator`: shards of captioned motion in, weights out; resumable."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from humanmotion.body import BodyModel
from humanmotion.diffusion.flow import Flow, flow_loss, noised
from humanmotion.diffusion.noise import Noise
from humanmotion.errors import InputError, UsageError
from humanmotion.files import sha256, writable_folder
from humanmotion.generation.corruption import corrupted
from humanmotion.generation.features import (
    ORIENT,
    REFERENCE,
    ROOT,
    SIZE,
    rowwise_matrix,
    rowwise_sixd,
)
from humanmotion.generation.foot_loss import FootLoss
from humanmotion.generation.hints import LEAST, TURNS, Kept, hints_of_kept
from humanmotion.generation.sampler import load_generator
from humanmotion.generation.sampling import Sampling, hinted
from humanmotion.generation.vimogen import Condition, ViMoGen, ViMoGenConfig, linear_guess
from humanmotion.jobs.early_stopping import Stopping, fabric_on
from humanmotion.jobs.generator_data import Batch, GeneratorWindows, statistics
from humanmotion.jobs.generator_kept import drawn_kept
from humanmotion.jobs.known_captions import write_known_beside
from humanmotion.jobs.network_run import (
    Draws,
    check_same_run,
    read_settings,
    schedule_of,
    train_in,
)
from humanmotion.jobs.shards import Shards
from humanmotion.jobs.stages import Progress, silent

CONFIG = Path(__file__).with_name("generator.toml")
ROOT_WEIGHT = 3.0
"""How much more the root's numbers count in the loss (ViMoGen's code)."""
_OF_A_LEG = ("seed", "feet", "branches", "training", "stopping")
LEAST_SPREAD = 1e-4
"""Numbers that hardly change are not blown up further."""


@dataclass(frozen=True)
class Branches:
    """What a sample of training reads; raises ValueError for shares outside [0, 1]."""

    text: float = 0.8
    """Share that reads text; the others read a spoilt copy of the motion itself."""
    dropped: float = 0.5
    """Share of those whose text is not known."""
    kept: float = 0.0
    """Share of all of which some numbers are given."""

    def __post_init__(self) -> None:
        if not all(0 <= share <= 1 for share in (self.text, self.dropped, self.kept)):
            raise ValueError("shares of branches must lie in [0, 1]")


def train_generator(
    data: str | Path,
    *,
    output: str | Path,
    config: str | Path = CONFIG,
    device: str = "cpu",
    processes: int | None = None,
    progress: Progress = silent,
) -> Path:
    """Train ViMoGen on the train split of the shards in `data`; returns the weights' path.

    Beside them lie the captions that were learnt, where val has known and unknown actions to tell what
    is unlike them. Raises InputError for data or a config that cannot be used, MissingExtraError
    without the `train` extra. Run again after an interruption, it goes on where it was. Each of several
    processes draws batches of its own. What each leg of a config ends with lies beside the last one's
    weights, numbered; the next one goes on from that, rounded to bfloat16.
    """
    settings = read_generator_settings(config)
    fabric = fabric_on(device, settings["precision"], processes=processes)
    folder, body = writable_folder(output), BodyModel.load()
    known = {name: sha256(Path(data) / name) for name in ("index.jsonl", "features.safetensors")}
    check_same_run(folder / "generator.run.json", settings | {"data": known})
    train, val = (GeneratorWindows.read(data, split=s, body=body) for s in ("train", "val"))
    network = untrained(settings, train, where=data)
    on = [windows.to(fabric.device) for windows in (train, val)]
    legs = legs_of(settings)
    for number, leg in enumerate(legs, 1):
        if number > 1:
            before = folder / f"generator_{number - 1}.safetensors"
            network = load_generator(before).train().requires_grad_(True)
        feet = FootLoss.of(train.rest, network.spread, weight=leg["feet"])
        objective = Objective.of(network, Branches(**leg["branches"]), feet=feet)
        objective = objective.to(fabric.device)
        path = train_in(
            folder, "generator" if number == len(legs) else f"generator_{number}", network,
            settings=leg, fabric=fabric, progress=progress,
            losses=(_loss(on[0], objective), _loss(on[1], objective)),
            told={"sampling": settings["sampling"]},
        )  # fmt: skip
    if fabric.is_global_zero:
        write_known_beside(path, Shards.read(data))
    return path


def untrained(settings: dict[str, Any], train: GeneratorWindows, *, where: str | Path) -> ViMoGen:
    """The network of a config, which knows the statistics of what it is to be trained on."""
    torch.manual_seed(settings["seed"])
    network = ViMoGen(ViMoGenConfig(**settings["network"]))
    if train.text_width != network.config.text_width:
        raise InputError(
            f"{where} has text tokens of {train.text_width} numbers, the config's text_width is "
            f"{network.config.text_width}; set it to that"
        )
    mean, spread = statistics(train)
    network.mean.copy_(mean)
    network.spread.copy_(spread.clamp(min=LEAST_SPREAD))
    if network.config.noise == "motion":
        network.get_buffer("spectra").copy_(spectra_of(train, network))
    with torch.no_grad():
        # The first caption is empty: the null text starts as what the encoder makes of that.
        first = train.tokens[0, : network.config.null_tokens]
        network.null_text[: len(first)].copy_(first)
    return network


def spectra_of(windows: GeneratorWindows, network: ViMoGen, *, draws: int = 48) -> Tensor:
    """Of what is drawn, normalised as the network has it: the `spectra` of `Noise`."""
    generator = torch.Generator(windows.turns.device).manual_seed(0)
    values, masks = [], []
    for _ in range(draws):
        batch = windows.draw(32, generator=generator)
        there = batch.mask[..., None] & batch.known[:, None]
        values += [*(network.normalised(batch.features) * there)]
        masks += [*batch.mask]
    try:
        said = Noise.like(*(pad_sequence(x, batch_first=True) for x in (values, masks)))
    except UsageError as error:
        raise InputError(
            f'{error}; give longer clips, or set noise = "white" in the config'
        ) from error
    assert said.spectra is not None
    return said.spectra


def read_generator_settings(path: str | Path) -> dict[str, Any]:
    """A training config; raises InputError when it is none of a generator."""
    settings = read_settings(path, ViMoGenConfig, what="generator")
    try:
        Branches(**settings["branches"])
        settings["feet"] = settings.get("feet", 0.0)
        settings["sampling"] = asdict(Sampling(**settings.get("sampling", {})))
        for leg in legs_of(settings):
            _check_leg(leg)
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise InputError(f"{path} is no config of a generator: {error}") from error
    return settings


def legs_of(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The config of each leg of training: the first, then one for each table of `more`.

    A later leg goes on from the weights of the one before, and is as that one but for what it says.
    Without a seed of its own it would see the same windows. Raises ValueError for what no leg can say.
    """
    legs, more = [settings], settings.get("more", [])
    if not isinstance(more, list) or not all(isinstance(leg, dict) for leg in more):
        raise ValueError("more is no list of tables; begin each with [[more]]")
    for own in more:
        if unknown := own.keys() - _OF_A_LEG:
            raise ValueError(
                f"a leg says {', '.join(sorted(unknown))}; it may say {', '.join(_OF_A_LEG)}"
            )
        if "seed" not in own:
            raise ValueError("a leg has no seed; give one that no other leg has")
        parts = {k: legs[-1][k] | v if isinstance(v, dict) else v for k, v in own.items()}
        legs.append(legs[-1] | parts)
    return legs


def _check_leg(leg: dict[str, Any]) -> None:
    """Raise ValueError or TypeError for a leg that cannot be."""
    Branches(**leg["branches"])
    Stopping(**leg["stopping"])
    schedule, batch = schedule_of(leg)
    if schedule.steps < 1 or batch < 1 or not isinstance(leg["seed"], int):
        raise ValueError("steps, batch and seed must be whole numbers, the first two 1 or more")
    if not 0 <= float(leg["feet"]) < math.inf:
        raise ValueError(f"feet is {leg['feet']}; give a number of 0 or more")


def _loss(windows: GeneratorWindows, objective: Objective) -> Draws:
    def loss(network: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        batch = windows.draw(count, generator=generator)
        return objective(network, batch, generator=generator)

    return loss


@dataclass(frozen=True)
class Objective:
    """The published loss on batches of features, and what feet do beside it."""

    config: ViMoGenConfig
    branches: Branches
    mean: Tensor
    """`(276)`."""
    spread: Tensor
    """`(276)`."""
    channels: Tensor
    """What each number counts `(276)`."""
    noise: Noise
    """What it starts from."""
    feet: FootLoss | None = None
    """On top of the published loss."""

    @property
    def flow(self) -> Flow:
        """The noise levels."""
        return self.config.flow

    @classmethod
    def of(cls, network: ViMoGen, branches: Branches, *, feet: FootLoss | None = None) -> Objective:
        """Of a network's noise levels, statistics and kind of prediction."""
        channels = torch.ones(SIZE)
        channels[ROOT] = ROOT_WEIGHT
        mean, spread = network.mean.clone(), network.spread.clone()
        return cls(network.config, branches, mean, spread, channels, network.noise, feet)

    def to(self, device: torch.device | str) -> Objective:
        """The same on `device`."""
        names = ("mean", "spread", "channels", "noise")
        there: dict[str, Any] = {name: getattr(self, name).to(device) for name in names}
        return replace(self, **there, feet=self.feet and self.feet.to(device))

    def __call__(self, network: nn.Module, batch: Batch, *, generator: torch.Generator) -> Tensor:
        """A scalar; what a source did not record is asked for nowhere, and shown as the mean."""
        at, count = generator.device, len(batch.mask)
        asked = batch.mask[..., None] & batch.known[:, None]
        clean = (batch.features - self.mean) / self.spread * asked
        u = torch.rand(2, count, generator=generator, device=at)
        reference, reference_mask = corrupted(
            clean[..., REFERENCE], batch.mask, generator=generator
        )
        if self.config.hints:
            reference = self._as_read(reference, reference_mask)
        condition = Condition(
            batch.text, batch.text_mask, (u[0] < self.branches.dropped) | ~batch.captioned,
            u[1] >= self.branches.text, reference, reference_mask,
        )  # fmt: skip
        if self.config.hints:
            kept = drawn_kept(asked, share=self.branches.kept, generator=generator)
            condition = hinted(condition, hints_of_kept(self.noise, Kept(clean, kept)))
        sigma, weight = self.flow.draw(count, generator=generator)
        weight = weight * self.config.counted(sigma)
        noise = self.noise.drawn((count, *clean.shape[1:]), generator=generator)
        state = noised(clean, noise, sigma=sigma)
        said = network(state, self.flow.time(sigma), mask=batch.mask, **vars(condition))
        steps: Tensor | float = 0.0
        if self.feet is not None:
            steps = self.feet(
                (state - sigma[:, None, None] * said) * self.spread + self.mean, batch.features,
                level=sigma, weight=weight, mask=batch.mask & batch.known[:, None, ORIENT.start],
            )  # fmt: skip
        channels = self.channels
        if condition.hints is not None:
            # What is known comes out as it is; the rest counts in units of what the guess leaves open.
            asked = asked & (condition.hints.variance > LEAST)
            level = sigma[:, None, None]
            left = linear_guess(state, level, condition.hints)[1]
            channels = channels * linear_guess(state, level)[1] / left
        return steps + flow_loss(said, noise - clean, weight=weight, mask=asked, channels=channels)

    def _as_read(self, reference: Tensor, mask: Tensor) -> Tensor:
        """References `(B, T, 138)` as they are read off a motion: rotations are rotations, turns lead
        from one frame's root to the next one's; 0 where either is lost, as `mask` `(B, T)` says."""
        mean, spread = self.mean[REFERENCE], self.spread[REFERENCE]
        turns = rowwise_matrix((reference * spread + mean).unflatten(-1, (-1, 6)))
        root = turns[..., -2, :, :]
        steps = torch.cat((root[:, 1:] @ root[:, :-1].mT, turns[:, -1:, -1]), 1)
        whole = torch.cat((turns[..., :-1, :, :], steps[..., None, :, :]), -3)
        read = (rowwise_sixd(whole).flatten(-2) - mean) / spread * mask[..., None]
        read[:, :-1, -TURNS:] *= mask[:, 1:, None]
        return read
