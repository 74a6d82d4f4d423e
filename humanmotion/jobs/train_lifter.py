"""`humanmotion train lifter`: motion-capture folders in, the lifter's weights out; resumable."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanmotion.body import BodyModel
from humanmotion.body.skeleton import JOINTS as ALL_JOINTS
from humanmotion.diffusion.time_mixing import TimeSizes
from humanmotion.files import writable_folder
from humanmotion.jobs.data import FPS
from humanmotion.jobs.early_stopping import fabric_on
from humanmotion.jobs.lifter_data import LifterWindows, Truth
from humanmotion.jobs.network_run import Draws, check_same_run, read_settings, train_in
from humanmotion.jobs.stages import Progress, silent
from humanmotion.recovery.detector_noise import DetectorNoise
from humanmotion.recovery.lifter import JOINTS, Lifted, Lifter, Shown, bodies
from humanmotion.rotations import matrix_to_sixd

CONFIG = Path(__file__).with_name("lifter.toml")
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
    settings = read_settings(config, TimeSizes, what="lifter")
    fabric = fabric_on(device, settings["precision"])
    folder, noise = writable_folder(output), DetectorNoise()
    check_same_run(folder / "lifter.run.json", settings | {"noise": asdict(noise)})
    torch.manual_seed(settings["seed"])
    network = Lifter(TimeSizes(**settings["network"]))
    train, val = (
        LifterWindows.read(data, split=split, noise=noise).to(fabric.device)
        for split in ("train", "val")
    )
    return train_in(folder, "lifter", network, settings=settings, losses=(_loss(train), _loss(val)),
                    fabric=fabric, progress=progress)  # fmt: skip


def _loss(windows: LifterWindows) -> Draws:
    def loss(network: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        drawn = windows.draw(count, generator=generator)
        return lifting_loss(network, *drawn, body=windows.corpus.body)

    return loss


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
