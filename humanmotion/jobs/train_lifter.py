"""`humanmotion train lifter`: motion-capture folders in, the lifter's weights out; resumable."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanmotion.body import BodyModel
from humanmotion.body.skeleton import JOINTS as ALL_JOINTS
from humanmotion.diffusion.training import Schedule
from humanmotion.errors import InputError
from humanmotion.files import read_json, read_text, writable_folder, write_json, write_tensors
from humanmotion.jobs.data import FPS
from humanmotion.jobs.early_stopping import Stopping, best_weights, fabric_on, train_network
from humanmotion.jobs.lifter_data import LifterWindows, Truth
from humanmotion.jobs.stages import Progress, silent
from humanmotion.recovery.detector_noise import DetectorNoise
from humanmotion.recovery.lifter import JOINTS, Lifted, Lifter, LifterConfig, Shown, bodies
from humanmotion.rotations import matrix_to_sixd

CONFIG = Path(__file__).with_name("lifter.toml")
VAL_BATCHES = 16
WEIGHTS = {
    "pose": 5.0, "joints": 10.0, "speed": 1.0, "up": 1.0, "distance": 1.0, "offset": 5.0,
    "betas": 0.02, "velocity": 0.5, "contact": 0.1,
}  # fmt: skip


def train_lifter(
    data: str | Path,
    *,
    output: str | Path,
    config: str | Path = CONFIG,
    device: str = "cpu",
    progress: Progress = silent,
) -> Path:
    """Train the lifter on the train split under `data`; returns the weights' path.

    Raises InputError for data or a config that cannot be used, MissingExtraError without the `train`
    extra. Run again after an interruption, it goes on where it was.
    """
    settings = _read(config)
    fabric = fabric_on(device, settings["precision"])
    folder = writable_folder(output)
    here, noise = fabric.device, DetectorNoise()
    _check_same_run(folder / "lifter.run.json", settings | {"noise": asdict(noise)})
    windows = LifterWindows.read(data, split="train", noise=noise).to(here)
    val = LifterWindows.read(data, split="val", noise=noise).to(here)
    torch.manual_seed(settings["seed"])
    body, sizes = windows.corpus.body, LifterConfig(**settings["network"])
    training = dict(settings["training"])
    batch = int(training.pop("batch"))

    def loss(network: nn.Module, generator: torch.Generator) -> Tensor:
        return lifting_loss(network, *windows.draw(batch, generator=generator), body=body)

    best = train_network(
        folder, "lifter", Lifter(sizes), schedule=Schedule(**training, seed=settings["seed"]),
        stopping=Stopping(**settings["stopping"]), loss=loss,
        val_loss=lambda n: _val_loss(n, val, batch), fabric=fabric,
        progress=lambda share: progress("lifter", share),
    )  # fmt: skip
    write_json(folder / "lifter.json", asdict(sizes))
    path = folder / "lifter.safetensors"
    kept = {k: v.to(torch.bfloat16) for k, v in best_weights(best).items()}
    write_tensors(path, kept)
    return path


def _read(path: str | Path) -> dict[str, Any]:
    try:
        settings = tomllib.loads(read_text(path))
        LifterConfig(**settings["network"])
        training = dict(settings["training"])
        int(training.pop("batch"))
        Schedule(**training, seed=settings["seed"])
        Stopping(**settings["stopping"])
        settings.setdefault("precision", "32-true")
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no config of a lifter: {error}") from error
    return settings


def _check_same_run(path: Path, run: dict[str, Any]) -> None:
    """Raise InputError when a folder holds a run of another config, which must not be gone on with."""
    run = json.loads(json.dumps(run))
    if path.exists() and read_json(path) != run:
        raise InputError(f"{path.parent} holds a run of another config; train into another folder")
    write_json(path, run)


@torch.no_grad()
def _val_loss(network: nn.Module, val: LifterWindows, batch: int) -> float:
    """The loss on the same windows, cameras and noise every time."""
    generator = torch.Generator(val.corpus.turns.device).manual_seed(0)
    found = [
        lifting_loss(network, *val.draw(batch, generator=generator), body=val.corpus.body)
        for _ in range(VAL_BATCHES)
    ]
    return float(torch.stack(found).double().mean())


def lifting_loss(network: nn.Module, shown: Shown, truth: Truth, *, body: BodyModel) -> Tensor:
    """Weighted sum of what a lifter is off by."""
    parts = lifting_errors(bodies(network(shown.values), shown), shown, truth, body=body)
    return torch.stack([WEIGHTS[k] * v for k, v in parts.items()]).sum()


def lifting_errors(
    lifted: Lifted, shown: Shown, truth: Truth, *, body: BodyModel
) -> dict[str, Tensor]:
    """Each part of the loss; turns of joints that a source did not record are asked for nothing."""
    asked = truth.recorded[..., None].float()
    turns = (matrix_to_sixd(lifted.rotations) - matrix_to_sixd(truth.rotations)).square()
    joints = _relative_joints(lifted, body)
    away = (joints - truth.joints).abs()
    speed = (joints - truth.joints).diff(dim=1).abs() * FPS
    there = shown.values[..., -7:-6]  # whether the person was found
    view = shown.view
    place, true = ((view.mT @ p[..., None])[..., 0] for p in (lifted.pelvis, truth.pelvis))
    scale = shown.size[..., None]
    return {
        "pose": (turns * asked).sum() / (asked.sum() * turns.shape[1] * 6),
        "joints": away.mean(),
        "speed": speed.mean(),
        "up": (lifted.up - truth.up).square().sum(-1).mean(),
        "distance": (
            there * (place[..., 2:].log() - true[..., 2:].clamp(min=0.1).log()).abs()
        ).mean(),
        "offset": (there * (_plane(place) - _plane(true)).abs() / scale).mean(),
        "betas": (lifted.betas - truth.betas).square().mean(),
        "velocity": (lifted.velocity - truth.velocity).abs().mean(),
        "contact": functional.binary_cross_entropy_with_logits(
            lifted.contact, truth.contact.float()
        ),
    }


def _plane(place: Tensor) -> Tensor:
    return place[..., :2] / place[..., 2:].clamp(min=0.1)


def _relative_joints(lifted: Lifted, body: BodyModel) -> Tensor:
    """Joints `(B, T, 22, 3)` about the pelvis of the lifted body, in camera axes."""
    lead = lifted.rotations.shape[:2]
    rest = torch.eye(3, device=lifted.rotations.device)
    rest = rest.expand(*lead, ALL_JOINTS - JOINTS, 3, 3)
    joints = body.joints(torch.cat((lifted.rotations, rest), 2), betas=lifted.betas)
    return joints[:, :, :JOINTS] - joints[:, :, :1]
