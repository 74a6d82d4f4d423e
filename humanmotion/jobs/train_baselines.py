"""`humanmotion train baselines`: the priors that ours is compared with, on the same data; resumable.

The folder holds one file of weights for each, and a checkpoint while it trains. These weights are never
shipped: `humanmotion bench prior --weights DIR` reads them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from humanmotion.diffusion.training import Schedule
from humanmotion.errors import InputError
from humanmotion.files import read_text, writable_folder, write_tensors
from humanmotion.jobs.baseline_data import read_bodies
from humanmotion.jobs.early_stopping import Stopping, fabric_on, train_network
from humanmotion.jobs.stages import Progress, silent
from humanmotion.prior.published import Normaliser, noise_loss
from humanmotion.prior.published_fixes import CleanTarget, Preconditioned, clean_loss
from humanmotion.prior.published_networks import TimeFC

CONFIG = Path(__file__).with_name("baselines.toml")
VAL_POSES = 8192
VAL_DRAWS = 4
VAL_ROWS = 1024
NUMBERS = 63


@dataclass(frozen=True)
class Recipe:
    """One network to be trained: how it begins and what it is asked."""

    build: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Tensor, torch.Generator], Tensor]


def _clean(network: nn.Module, batch: Tensor, generator: torch.Generator) -> Tensor:
    return clean_loss(network, batch, generator)  # type: ignore[arg-type]


RECIPES = {
    "dp": Recipe(lambda: TimeFC(NUMBERS, NUMBERS), noise_loss),
    "dp_clean_target": Recipe(lambda: CleanTarget(TimeFC(NUMBERS, NUMBERS)), _clean),
    "dp_preconditioned": Recipe(lambda: Preconditioned(TimeFC(NUMBERS, NUMBERS)), _clean),
}
"""The published prior of bodies, and it with one thing mended each."""


def train_baselines(
    data: str | Path,
    *,
    output: str | Path,
    config: str | Path = CONFIG,
    device: str = "cpu",
    progress: Progress = silent,
) -> list[Path]:
    """Train every recipe of `config` on the train split, stopping early on val; returns the weights.

    Raises InputError for data or a config that cannot be used, MissingExtraError without the `train`
    extra. What is there already is not trained again.
    """
    settings = _read(config)
    folder = writable_folder(output)
    train = read_bodies(data, split="train")
    val = read_bodies(data, split="val")
    normaliser = Normaliser.fit(train.poses)
    fabric = fabric_on(device, settings["precision"])
    states = (normaliser.to_state(train.poses), _some(normaliser.to_state(val.poses)))
    done = []
    for name, seed, part in _runs(settings):
        path = folder / f"{name}_{seed}.safetensors"
        if not path.exists():
            found = _trained(RECIPES[name], states, part, folder=folder, name=path.stem, seed=seed,
                             stopping=Stopping(**settings["stopping"]), fabric=fabric,
                             progress=progress)  # fmt: skip
            both = {"mean": normaliser.mean, "deviation": normaliser.deviation}
            write_tensors(path, {**found, **both})
        done.append(path)
    return done


def _some(val: Tensor) -> Tensor:
    order = torch.randperm(len(val), generator=torch.Generator().manual_seed(0))
    return val[order[:VAL_POSES]]


def _read(path: str | Path) -> dict[str, Any]:
    try:
        settings = tomllib.loads(read_text(path))
        list(_runs(settings))
        Stopping(**settings["stopping"])
        settings.setdefault("precision", "32-true")
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no config of baselines: {error}") from error
    return settings


def _runs(settings: Mapping[str, Any]) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    for name in RECIPES:
        part = settings.get(name)
        if part is not None:
            for seed in part["seeds"]:
                yield name, seed, part


def _trained(
    recipe: Recipe,
    states: tuple[Tensor, Tensor],
    part: Mapping[str, Any],
    *,
    folder: Path,
    name: str,
    seed: int,
    stopping: Stopping,
    fabric: Any,
    progress: Progress,
) -> dict[str, Tensor]:
    """The averaged weights that did best on val, `step` and `val` loss among them."""
    train, val = (x.to(fabric.device) for x in states)
    # The published optimiser is Adam.
    schedule = Schedule(**part["training"], seed=seed, weight_decay=0.0, betas=(0.9, 0.999))

    def loss(network: nn.Module, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(train), (part["batch"],), generator=generator)
        return recipe.loss(network, train[rows], generator)

    torch.manual_seed(seed)
    return train_network(
        folder, name, recipe.build(), schedule=schedule, stopping=stopping, loss=loss,
        val_loss=lambda network: _val_loss(network, recipe, val), fabric=fabric,
        progress=lambda share: progress(name, share),
    )  # fmt: skip


@torch.no_grad()
def _val_loss(network: nn.Module, recipe: Recipe, val: Tensor) -> float:
    """The loss on the same draws of noise every time."""
    generator = torch.Generator().manual_seed(0)
    parts = [recipe.loss(network, part, generator) for _ in range(VAL_DRAWS)
             for part in val.split(VAL_ROWS)]  # fmt: skip
    return float(torch.stack(parts).double().mean())
