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

from humanmotion.diffusion.training import Schedule
from humanmotion.errors import InputError
from humanmotion.files import read_text, writable_folder, write_json, write_tensors
from humanmotion.jobs.early_stopping import Stopping, best_weights, fabric_on, train_network
from humanmotion.jobs.prior_batches import Batches, Corpus, read_corpus
from humanmotion.jobs.stages import Progress, silent
from humanmotion.prior.denoiser import Denoiser, DenoiserConfig
from humanmotion.prior.gaussian_motion import GaussianMotion, fit_gaussian_motion
from humanmotion.prior.model import KINDS, Kind, PosePrior, table_levels
from humanmotion.prior.space import spread_tokens
from humanmotion.prior.training_loss import denoising_loss

CONFIG = Path(__file__).with_name("prior.toml")
VAL_DRAWS = 2048
VAL_BATCHES = 8
LINEAR_BATCH = 512
LINEAR_DRAWS = {"pose": 80, "motion": 16}
"""Batches that the Gaussian of each kind is fitted to."""


def train_prior(
    data: str | Path,
    *,
    output: str | Path,
    config: str | Path = CONFIG,
    device: str = "cpu",
    progress: Progress = silent,
) -> Path:
    """Train both priors on the train splits under `data`; returns the weights' path.

    Raises InputError for data or a config that cannot be used, MissingExtraError without the
    `train` extra. Run again after an interruption, it goes on where it was.
    """
    settings = read_config(config)
    fabric = fabric_on(device, settings["precision"])
    folder = writable_folder(output)
    corpus = read_corpus(data, split="train", seed=settings["seed"])
    val = read_corpus(data, split="val", seed=settings["seed"] + 1, space=corpus.space)
    networks: dict[Kind, Denoiser] = {}
    errors: dict[Kind, Tensor] = {}
    for kind in KINDS:
        networks[kind] = _trained(
            kind, (corpus, val), settings, folder=folder, fabric=fabric, progress=progress
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
            if _sizes(settings[kind]).blocks:
                _training(settings[kind], settings["seed"])
            elif "training" in settings[kind]:
                raise KeyError(
                    f"[{kind}.training] without blocks in [{kind}], which are what learns"
                )
        Stopping(**settings["stopping"])
        settings.setdefault("precision", "32-true")
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no training config: {error}") from error
    return settings


def _sizes(part: Mapping[str, Any]) -> DenoiserConfig:
    return DenoiserConfig(**{k: v for k, v in part.items() if k != "training"})


def _training(part: Mapping[str, Any], seed: int) -> tuple[Schedule, int]:
    training = dict(part["training"])
    batch = int(training.pop("batch"))
    return Schedule(**training, seed=seed), batch


def _trained(
    kind: Kind,
    corpora: tuple[Corpus, Corpus],
    settings: Mapping[str, Any],
    *,
    folder: Path,
    fabric: Any,
    progress: Progress,
) -> Denoiser:
    corpus, val = corpora
    sizes, seed = _sizes(settings[kind]), settings["seed"]
    torch.manual_seed(seed)
    network = Denoiser(sizes)
    network.linear = _linear(corpus, kind, seed)
    if not sizes.blocks:
        return network.eval().requires_grad_(False)
    schedule, batch = _training(settings[kind], seed)
    here = fabric.device
    varied = corpus.to(here).batches(kind, varied=True)
    held_out = val.to(here).batches(kind, varied=False)

    def loss(module: nn.Module, generator: torch.Generator) -> Tensor:
        state, shown, recorded = varied.draw(batch, generator=generator)
        return denoising_loss(module, state, shown=shown, recorded=recorded, generator=generator)

    best = train_network(
        folder, kind, network, schedule=schedule, stopping=Stopping(**settings["stopping"]),
        loss=loss, val_loss=lambda n: _val_loss(n, held_out, batch, device=here), fabric=fabric,
        progress=lambda share: progress(kind, share),
    )  # fmt: skip
    out = Denoiser(sizes).eval()
    out.load_state_dict(best_weights(best))
    return out


def _linear(corpus: Corpus, kind: Kind, seed: int) -> GaussianMotion:
    """The Gaussian of the poses or windows as they are, made-up hands and faces included."""
    generator = torch.Generator().manual_seed(seed)
    plain = corpus.batches(kind, varied=False)
    drawn = [plain.draw(LINEAR_BATCH, generator=generator) for _ in range(LINEAR_DRAWS[kind])]
    state = torch.cat([s for s, _, _ in drawn])
    recorded = torch.cat([r for _, _, r in drawn])
    if kind == "pose":
        return fit_gaussian_motion(state[:, None], recorded)
    return fit_gaussian_motion(state, recorded[:, 0])


@torch.no_grad()
def _val_loss(network: nn.Module, val: Batches, batch: int, *, device: torch.device) -> float:
    """The loss on the same poses and draws of noise every time."""
    generator = torch.Generator(device).manual_seed(0)
    found = []
    for _ in range(VAL_BATCHES):
        state, shown, recorded = val.draw(batch, generator=generator)
        found.append(
            denoising_loss(network, state, shown=shown, recorded=recorded, generator=generator)
        )
    return float(torch.stack(found).double().mean())


@torch.no_grad()
def error_table(network: Denoiser, val: Corpus, *, kind: Kind) -> Tensor:
    """Root mean square error of each number `(24, 172)` when all recorded tokens are at one level."""
    generator = torch.Generator().manual_seed(0)
    count = VAL_DRAWS if kind == "pose" else VAL_DRAWS // 16
    state, _, recorded = val.batches(kind, varied=False).draw(count, generator=generator)
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
