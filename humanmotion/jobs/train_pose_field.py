"""`humanmotion train pose-field`: motion-capture folders in, the weights out; resumable."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from humanmotion.errors import InputError
from humanmotion.files import writable_folder
from humanmotion.jobs.early_stopping import fabric_on
from humanmotion.jobs.network_run import Draws, check_same_run, read_settings, train_in
from humanmotion.jobs.pose_field_data import Labelled, labelled, real_poses
from humanmotion.jobs.stages import Progress, silent
from humanmotion.prior.pose_field import PoseField, PoseFieldConfig

CONFIG = Path(__file__).with_name("pose_field.toml")


def train_pose_field(
    data: str | Path,
    *,
    output: str | Path,
    config: str | Path = CONFIG,
    device: str = "cpu",
    progress: Progress = silent,
) -> Path:
    """Train the pose field on the train split under `data`; returns the weights' path.

    Kept are the weights that tell best how far perturbed val poses are from real ones. Raises
    InputError for data or a config that cannot be used, MissingExtraError without the `train` extra.
    Run again after an interruption, it goes on where it was.
    """
    settings = read_settings(config, PoseFieldConfig, what="pose field")
    counts = _counts(settings, config)
    fabric = fabric_on(device, settings["precision"])
    folder = writable_folder(output)
    check_same_run(folder / "pose_field.run.json", settings)
    progress("poses", 0.0)
    known, val = (real_poses(data, split=split) for split in ("train", "val"))
    # A real val pose is no mistake, however far from the train poses: it is known to the val loss.
    splits = ((known, known), (val, torch.cat((known, val))))
    losses = [
        _loss(labelled(poses, near, count=counts[i], seed=settings["seed"] + i).to(fabric.device))
        for i, (poses, near) in enumerate(splits)
    ]
    torch.manual_seed(settings["seed"])
    network = PoseField(PoseFieldConfig(**settings["network"]))
    return train_in(folder, "pose_field", network, settings=settings,
                    losses=(losses[0], losses[1]), fabric=fabric, progress=progress)  # fmt: skip


def _counts(settings: dict[str, dict[str, int]], config: str | Path) -> tuple[int, int]:
    try:
        counts = int(settings["labels"]["train"]), int(settings["labels"]["val"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{config} is no config of a pose field: [labels] {error}") from error
    if min(counts) < 1:
        raise InputError(f"{config} asks for {counts} labelled poses; give 1 or more of each")
    return counts


def _loss(poses: Labelled) -> Draws:
    def loss(network: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        x, distance = poses.draw(count, generator=generator)
        return (network(x) - distance).abs().mean()

    return loss
