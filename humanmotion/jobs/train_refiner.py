"""`humanmotion train refiner`: motion-capture folders in, the refiner's weights out; resumable.

The folder first gets the drafts of both splits, made on the CPU and named by their motion.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanmotion.body import BodyModel
from humanmotion.diffusion.time_mixing import TimeSizes
from humanmotion.errors import InputError
from humanmotion.files import writable_folder
from humanmotion.jobs.data import FPS
from humanmotion.jobs.early_stopping import fabric_on
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.fit_person import Learnt, digest
from humanmotion.jobs.lifter_weights import load_lifter
from humanmotion.jobs.motion_corpus import MotionCorpus
from humanmotion.jobs.network_run import Draws, check_same_run, read_settings, train_in
from humanmotion.jobs.refiner_data import Drafts, Ideal, RefinerWindows, make_drafts
from humanmotion.jobs.stages import Progress, silent
from humanmotion.recovery.detector_noise import DetectorNoise
from humanmotion.recovery.refiner import (
    Draft,
    Refined,
    Refiner,
    bare_joints,
    refine_window,
)
from humanmotion.rotations import matrix_to_sixd

CONFIG = Path(__file__).with_name("refiner.toml")
SPLITS = ("train", "val")
WEIGHTS = {
    "pose": 5.0, "joints": 10.0, "speed": 1.0, "acceleration": 0.02, "seam": 0.5, "velocity": 3.0,
    "contact": 0.5,
}  # fmt: skip
SUMMED = (1, 3, 9, 27)
"""Frames over which errors of velocity are added up, as WHAM does."""


def train_refiner(
    data: str | Path,
    *,
    output: str | Path,
    config: str | Path = CONFIG,
    device: str = "cpu",
    progress: Progress = silent,
) -> Path:
    """Train the refiner on what the shipped lifter and prior make of the train split under `data`;
    returns the weights' path.

    Raises InputError for data or a config that cannot be used, MissingExtraError without the `train`
    extra. Run again after an interruption, it goes on where it was.
    """
    settings = read_settings(config, TimeSizes, what="refiner")
    counts = settings.get("drafts")
    if not isinstance(counts, dict) or set(counts) != set(SPLITS):
        raise InputError(f"{config} is no config of a refiner: [drafts] must give train and val")
    fabric = fabric_on(device, settings["precision"])
    folder, noise = writable_folder(output), DetectorNoise()
    learnt = Learnt(load_prior(), load_lifter())
    assert learnt.prior is not None and learnt.lifter is not None
    made_by = {"noise": asdict(noise), "lifter": digest(learnt.lifter.state_dict()),
               "prior": digest(learnt.prior.tensors())}  # fmt: skip
    check_same_run(folder / "refiner.run.json", settings | made_by)
    body = BodyModel.load()
    train, val = _drafts(folder, data, counts, learnt=learnt, noise=noise)
    losses = tuple(
        _loss(RefinerWindows(drafts, body, varied=drafts is train).to(fabric.device))
        for drafts in (train, val)
    )
    torch.manual_seed(settings["seed"])
    network = Refiner(TimeSizes(**settings["network"]))
    return train_in(folder, "refiner", network, settings=settings,
                    losses=(losses[0], losses[1]), fabric=fabric, progress=progress)  # fmt: skip


def _drafts(
    folder: Path,
    data: str | Path,
    counts: Mapping[str, int],
    *,
    learnt: Learnt,
    noise: DetectorNoise,
) -> list[Drafts]:
    """The drafts of both splits, made where the folder does not hold them."""
    found = []
    for seed, split in enumerate(SPLITS):
        corpus = MotionCorpus.read(data, split=split)
        path = folder / f"drafts_{split}_{_known_by(corpus)}.safetensors"
        if not path.exists():
            make_drafts(corpus, counts[split], learnt=learnt, noise=noise, seed=seed).write(path)
        found.append(Drafts.read(path))
    return found


def _known_by(corpus: MotionCorpus) -> str:
    """Eight hex digits of the motion that drafts are made from."""
    return hashlib.sha256(corpus.pelvis.numpy().tobytes()).hexdigest()[:8]


def _loss(windows: RefinerWindows) -> Draws:
    def loss(network: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        draft, ideal = windows.draw(count, generator=generator)
        return refining_loss(network, draft, ideal, body=windows.body)

    return loss


def refining_loss(network: nn.Module, draft: Draft, ideal: Ideal, *, body: BodyModel) -> Tensor:
    """Weighted sum of what a refiner is off by."""
    refined = refine_window(network, draft, fps=FPS)
    parts = refining_errors(refined, draft, ideal, body=body)
    return torch.stack([WEIGHTS[k] * v for k, v in parts.items()]).sum()


def refining_errors(
    refined: Refined, draft: Draft, ideal: Ideal, *, body: BodyModel
) -> dict[str, Tensor]:
    """Each part of the loss; turns of joints that a source did not record are asked for nothing."""
    asked = ideal.recorded[..., None].float()
    turns = (matrix_to_sixd(refined.rotations) - matrix_to_sixd(ideal.rotations)).square()
    away = bare_joints(refined.rotations, body) - ideal.joints
    speed = away.diff(dim=1).abs().mean((-1, -2)) * FPS
    cut = (draft.shot_id.diff(dim=1) != 0).float()
    # In the world, where the root's heading counts as well.
    moved = refined.rotations[:, :, 0] @ refined.velocity[..., None]
    wrong = moved - ideal.rotations[:, :, 0] @ ideal.velocity[..., None]
    return {
        "pose": (turns * asked).sum() / (asked.sum() * turns.shape[1] * 6),
        "joints": away.abs().mean(),
        "speed": speed.mean(),
        "acceleration": away.diff(n=2, dim=1).abs().mean() * FPS**2,
        "seam": (speed * cut).sum() / cut.sum().clamp(min=1),
        "velocity": summed_error(wrong[..., 0]),
        "contact": functional.binary_cross_entropy_with_logits(
            refined.contact, ideal.contact.float()
        ),
    }


def summed_error(wrong: Tensor) -> Tensor:
    """Mean error of velocities wrong by `(B, T, 3)`, m/s, of sums as of single steps."""
    way = torch.nn.functional.pad(wrong.cumsum(1), (0, 0, 1, 0))
    found = [(way[:, n:] - way[:, :-n]).abs().mean() / n**0.5 for n in SUMMED]
    return torch.stack(found).mean()
