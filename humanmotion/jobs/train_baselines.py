"""`humanmotion train baselines`: what ours is compared with, on the same data; resumable.

The folder holds one file of weights for each, and a checkpoint while it trains. These weights are never
shipped: `humanmotion bench prior|multishot|generation --weights DIR` reads them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from humanmotion.diffusion.training import Schedule
from humanmotion.errors import InputError
from humanmotion.files import read_text, writable_folder
from humanmotion.jobs.baseline_recipes import RECIPES, Material, Task
from humanmotion.jobs.baseline_weights import write_baseline
from humanmotion.jobs.early_stopping import Stopping, fabric_on, train_network
from humanmotion.jobs.mdm_training import mdm_task
from humanmotion.jobs.stages import Progress, silent

CONFIG = Path(__file__).with_name("baselines.toml")
GENERATION_CONFIG = Path(__file__).with_name("generation_baselines.toml")
"""Of motion from text, which learns from shards of `data build`."""
EVERY_RECIPE = {**RECIPES, "mdm": mdm_task}
VAL_ROWS = 1024
VAL_BATCHES = 32


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
    fabric = fabric_on(device, settings["precision"])
    material = Material(Path(data), folder, fabric.device)
    done = []
    for name, seed, part in _runs(settings):
        path = folder / f"{name}_{seed}.safetensors"
        if not path.exists():
            torch.manual_seed(seed)
            task = EVERY_RECIPE[name](material)
            found = _trained(task, part, folder=folder, name=path.stem, seed=seed,
                             stopping=Stopping(**settings["stopping"]), fabric=fabric,
                             progress=progress)  # fmt: skip
            write_baseline(path, found, normaliser=task.normaliser)
            path.with_suffix(".checkpoint.safetensors").unlink(missing_ok=True)
        done.append(path)
    return done


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
    for name in EVERY_RECIPE:
        part = settings.get(name)
        if part is not None:
            for seed in part["seeds"]:
                yield name, seed, part


def _trained(
    task: Task,
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
    # The published optimiser is Adam.
    schedule = Schedule(**part["training"], seed=seed, weight_decay=0.0, betas=(0.9, 0.999))

    def loss(network: nn.Module, generator: torch.Generator) -> Tensor:
        return task.train(network, part["batch"], generator)

    return train_network(
        folder, name, task.network, schedule=schedule, stopping=stopping, loss=loss,
        val_loss=lambda network: _val_loss(network, task), fabric=fabric,
        progress=lambda share: progress(name, share),
    )  # fmt: skip


@torch.no_grad()
def _val_loss(network: nn.Module, task: Task) -> float:
    """The loss on the same poses and draws of noise every time."""
    device = next(network.parameters()).device
    generator = torch.Generator(device).manual_seed(0)
    each = [task.val(network, VAL_ROWS, generator) for _ in range(VAL_BATCHES)]
    return float(torch.stack(each).double().mean())
