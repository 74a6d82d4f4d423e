"""What training the lifter and training the refiner share: a config, one run a folder, weights."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from humanmotion.diffusion.training import Schedule
from humanmotion.errors import InputError
from humanmotion.files import read_json, read_text, write_json, write_tensors
from humanmotion.jobs.early_stopping import Stopping, ValLoss, best_weights, train_network
from humanmotion.jobs.stages import Progress

Draws = Callable[[nn.Module, int, torch.Generator], Tensor]
"""The loss of a network on so many windows."""
VAL_BATCHES = 16


def read_settings(path: str | Path, sizes: Callable[..., Any], *, what: str) -> dict[str, Any]:
    """A training config whose `[network]` gives `sizes`; raises InputError when it is none."""
    try:
        settings = tomllib.loads(read_text(path))
        sizes(**settings["network"])
        schedule_of(settings)
        Stopping(**settings["stopping"])
        settings.setdefault("precision", "32-true")
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no config of a {what}: {error}") from error
    return settings


def schedule_of(settings: dict[str, Any]) -> tuple[Schedule, int]:
    """How long and how fast, and how many windows at once; TypeError or KeyError for what cannot be."""
    training = dict(settings["training"])
    batch = int(training.pop("batch"))
    return Schedule(**training, seed=settings["seed"]), batch


def check_same_run(path: Path, run: dict[str, Any]) -> None:
    """Raise InputError when a folder holds a run of another config, which must not be gone on with."""
    run = json.loads(json.dumps(run))
    if path.exists() and read_json(path) != run:
        raise InputError(f"{path.parent} holds a run of another config; train into another folder")
    write_json(path, run)


def train_in(
    folder: Path,
    name: str,
    network: Any,
    *,
    settings: dict[str, Any],
    losses: tuple[Draws, Draws],
    fabric: Any,
    progress: Progress,
    told: Mapping[str, Any] | None = None,
) -> Path:
    """Train `network`, which has a `config`, on the first of `losses`, stopping by the second.

    Writes `<name>.json`, the config and what else is `told`, and `<name>.safetensors`, whose path is
    returned: parameters in bfloat16, buffers (statistics) as they are. Of several processes the first
    one writes.
    """
    schedule, batch = schedule_of(settings)
    train, val = losses
    best = train_network(
        folder, name, network, schedule=schedule, stopping=Stopping(**settings["stopping"]),
        loss=lambda n, generator: train(n, batch, generator),
        val_loss=_val_loss(val, batch, fabric.device), fabric=fabric,
        progress=lambda share: progress(name, share),
    )  # fmt: skip
    path = folder / f"{name}.safetensors"
    if fabric.is_global_zero:
        whole = {key for key, _ in network.named_buffers()}
        weights = best_weights(best).items()
        write_json(folder / f"{name}.json", asdict(network.config) | dict(told or {}))
        write_tensors(path, {k: v if k in whole else v.to(torch.bfloat16) for k, v in weights})
    fabric.barrier()
    return path


def _val_loss(val: Draws, batch: int, device: torch.device) -> ValLoss:
    """The loss on the same windows, cameras and noise every time."""

    @torch.no_grad()
    def loss(network: nn.Module) -> float:
        generator = torch.Generator(device).manual_seed(0)
        found = [val(network, batch, generator) for _ in range(VAL_BATCHES)]
        return float(torch.stack(found).double().mean())

    return loss
