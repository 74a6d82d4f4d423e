"""Training that keeps the weights that did best on val, and goes on where it was interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from humanmotion.diffusion.training import Loss, Schedule, Trainer
from humanmotion.errors import InputError, MissingExtraError, UsageError
from humanmotion.files import read_tensors, write_tensors

ValLoss = Callable[[nn.Module], float]


@dataclass(frozen=True)
class Stopping:
    """When the val split is looked at."""

    every: int
    """Steps between two looks."""
    patience: int
    """Looks without a gain after which training ends."""
    keep: Literal["best", "last"] = "best"
    """Which weights are kept; with "last" training goes on to its end."""

    def __post_init__(self) -> None:
        if self.keep not in ("best", "last"):
            raise ValueError(f'keep is {self.keep!r}; give "best" or "last"')


def fabric_on(device: str, precision: Any, *, processes: int | None = None) -> Any:
    """A launched `lightning.fabric.Fabric`.

    Raises UsageError for a device that this machine has not, InputError for a precision that is none,
    MissingExtraError without the `train` extra.

    Without a number of processes there is one, or one for each accelerator. Several train one network
    on batches of their own (DDP); the others of this machine are started here.
    """
    try:
        from lightning.fabric import Fabric
    except ImportError as error:
        raise MissingExtraError("lightning", "train") from error
    there = {"cpu": True, "auto": True, "cuda": torch.cuda.is_available(),
             "mps": torch.backends.mps.is_available()}  # fmt: skip
    if not there.get(device):
        have = ", ".join(name for name, has in there.items() if has)
        raise UsageError(f"device {device} given; this machine has {have}")
    one = "auto" if device != "cpu" else 1
    # A batch without a reference motion leaves the blocks that read one without a gradient.
    several = "ddp_find_unused_parameters_true" if (processes or 1) > 1 else "auto"
    try:
        fabric: Any = Fabric(
            accelerator=device, devices=processes or one, strategy=several, precision=precision
        )
    except ValueError as error:
        raise InputError(f"training at precision {precision!r} cannot be: {error}") from error
    # Mixed precision would round what goes into a network too: noisy states are lost below their
    # noise, and values that cannot be changed are refused.
    fabric.strategy.precision.convert_input = lambda data: data
    if fabric.device.type != "cpu":
        # Of float32 an accelerator multiplies the leading digits at several times the speed.
        torch.set_float32_matmul_precision("high")
    fabric.launch()
    return fabric


def train_network(
    folder: Path,
    name: str,
    network: nn.Module,
    *,
    schedule: Schedule,
    stopping: Stopping,
    loss: Loss,
    val_loss: ValLoss,
    fabric: Any,
    progress: Callable[[float], None],
) -> dict[str, Tensor]:
    """The averaged weights at the best look, with its `step` and `val` loss.

    `folder` holds `<name>.checkpoint.safetensors`, from which a second call goes on and ends with the
    same bytes, and `<name>.log.jsonl`. Of several processes the first one writes.
    """
    trainer = Trainer(network, schedule, fabric=fabric)
    checkpoint, log = folder / f"{name}.checkpoint.safetensors", folder / f"{name}.log.jsonl"
    best: dict[str, Tensor] = {}
    if checkpoint.exists():
        held = read_tensors(checkpoint)
        best = {k.removeprefix("best/"): v for k, v in held.items() if k.startswith("best/")}
        trainer.restore(held)
    patience = stopping.patience * stopping.every
    while not _done(trainer, best, schedule=schedule, patience=patience):
        trainer.step(loss)
        progress(trainer.step_number / schedule.steps)
        if trainer.step_number % stopping.every and trainer.step_number < schedule.steps:
            continue
        found = val_loss(trainer.average)
        if not best or found < float(best["val"]) or stopping.keep == "last":
            best = _kept(trainer, found)
        if fabric.is_global_zero:
            with log.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"step": trainer.step_number, "val": found}) + "\n")
            kept = {f"best/{k}": v for k, v in best.items()}
            write_tensors(checkpoint, {**trainer.state(), **kept})
        fabric.barrier()
    return best


def _done(trainer: Trainer, best: dict[str, Tensor], *, schedule: Schedule, patience: int) -> bool:
    if trainer.step_number >= schedule.steps:
        return True
    return bool(best) and trainer.step_number - int(best["step"]) >= patience


def _kept(trainer: Trainer, found: float) -> dict[str, Tensor]:
    weights = {f"network/{k}": v.cpu().clone() for k, v in trainer.average.state_dict().items()}
    # A loss is kept to all its digits, so that a resumed run decides as an unbroken one does.
    val = torch.tensor(found, dtype=torch.float64)
    return {"val": val, "step": torch.tensor(trainer.step_number), **weights}


def best_weights(best: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network's own tensors among what `train_network` returns."""
    return {k.removeprefix("network/"): v for k, v in best.items() if k.startswith("network/")}
