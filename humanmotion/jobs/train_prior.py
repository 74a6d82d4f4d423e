"""`humanmotion train prior`: motion-capture folders in, the prior's weights out; resumable.

The folder holds a checkpoint per network until both are trained, then `prior.safetensors` and
`prior.json`, and a log of the loss.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from humanmotion.diffusion.training import Schedule, Trainer
from humanmotion.errors import InputError, MissingExtraError
from humanmotion.files import read_tensors, read_text, writable_folder, write_json, write_tensors
from humanmotion.jobs.prior_batches import Corpus, read_corpus
from humanmotion.jobs.stages import Progress, silent
from humanmotion.prior.denoiser import Denoiser, DenoiserConfig
from humanmotion.prior.model import KINDS, Kind, PosePrior, table_levels
from humanmotion.prior.space import spread_tokens
from humanmotion.prior.training_loss import denoising_loss

CONFIG = Path(__file__).with_name("prior.toml")
SAVE_EVERY = 500
VAL_DRAWS = 2048


def train_prior(
    data: str | Path,
    *,
    output: str | Path,
    config: str | Path = CONFIG,
    device: str = "cpu",
    progress: Progress = silent,
) -> Path:
    """Train both networks on the train splits under `data`; returns the weights' path.

    Raises InputError for data or a config that cannot be used, MissingExtraError without the
    `train` extra. Run again after an interruption, it goes on where it was.
    """
    settings = read_config(config)
    folder = writable_folder(output)
    corpus = read_corpus(data, split="train", seed=settings["seed"])
    val = read_corpus(data, split="val", seed=settings["seed"] + 1, space=corpus.space)
    networks: dict[Kind, Denoiser] = {}
    errors: dict[Kind, Tensor] = {}
    for kind in KINDS:
        networks[kind] = _trained(
            kind, corpus, settings, folder=folder, device=device, progress=progress
        )
        errors[kind] = error_table(networks[kind], val, kind=kind)
    prior = PosePrior(corpus.space, networks, errors)
    write_json(folder / "prior.json", prior.config())
    path = folder / "prior.safetensors"
    write_tensors(path, prior.tensors())
    return path


def read_config(path: str | Path) -> dict[str, Any]:
    """A training config; raises InputError when it is not one."""
    try:
        settings = tomllib.loads(read_text(path))
        for kind in KINDS:
            _parts(settings[kind], settings["seed"])
        settings.setdefault("precision", "32-true")
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no training config: {error}") from error
    return settings


def _parts(part: Mapping[str, Any], seed: int) -> tuple[DenoiserConfig, Schedule, int]:
    sizes = {k: v for k, v in part.items() if k != "training"}
    training = dict(part["training"])
    batch = int(training.pop("batch"))
    return DenoiserConfig(**sizes), Schedule(**training, seed=seed), batch


def _trained(
    kind: Kind,
    corpus: Corpus,
    settings: Mapping[str, Any],
    *,
    folder: Path,
    device: str,
    progress: Progress,
) -> Denoiser:
    sizes, schedule, batch = _parts(settings[kind], settings["seed"])
    torch.manual_seed(schedule.seed)
    trainer = Trainer(Denoiser(sizes), schedule, fabric=_fabric(device, settings["precision"]))
    checkpoint, log = folder / f"{kind}.checkpoint.safetensors", folder / f"{kind}.log.jsonl"
    if checkpoint.exists():
        trainer.restore(read_tensors(checkpoint))
    batches = corpus.batches(kind, varied=True)

    def loss(network: nn.Module, generator: torch.Generator) -> Tensor:
        state, recorded = batches.draw(batch, generator=generator)
        return denoising_loss(network, state, recorded=recorded, generator=generator)

    total = 0.0
    while trainer.step_number < schedule.steps:
        total += trainer.step(loss)
        progress(kind, trainer.step_number / schedule.steps)
        if trainer.step_number % SAVE_EVERY == 0 or trainer.step_number == schedule.steps:
            write_tensors(checkpoint, trainer.state())
            with log.open("a", encoding="utf-8") as stream:
                stream.write(
                    f'{{"step": {trainer.step_number}, "loss": {total / SAVE_EVERY:.5f}}}\n'
                )
            total = 0.0
    network = trainer.average.cpu()
    assert isinstance(network, Denoiser)
    return network


def _fabric(device: str, precision: Any) -> Any:
    try:
        from lightning.fabric import Fabric
    except ImportError as error:
        raise MissingExtraError("lightning", "train") from error
    fabric = Fabric(
        accelerator=device, devices="auto" if device != "cpu" else 1, precision=precision
    )
    fabric.launch()
    return fabric


@torch.no_grad()
def error_table(network: Denoiser, val: Corpus, *, kind: Kind) -> Tensor:
    """Root mean square error of each number `(24, 172)` when all recorded tokens are at one level."""
    generator = torch.Generator().manual_seed(0)
    count = VAL_DRAWS if kind == "pose" else VAL_DRAWS // 16
    state, recorded = val.batches(kind, varied=False).draw(count, generator=generator)
    rows = []
    for level in table_levels().tolist():
        rho = torch.where(recorded, level, torch.inf)
        noisy = state + level * torch.randn(state.shape, generator=generator)
        there = spread_tokens(recorded)
        square = (network(noisy, rho) - state) ** 2 * there
        seen = there.flatten(0, -2).sum(0)
        error = (square.flatten(0, -2).sum(0) / seen.clamp(min=1)).sqrt()
        # A token that no val pose has errs as one of unit variance would.
        rows.append(torch.where(seen > 0, error, torch.tensor(level / (1 + level**2) ** 0.5)))
    return torch.stack(rows)
