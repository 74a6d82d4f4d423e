"""`humanmotion train evaluator`: shards of `data build` in, the evaluator's weights out; resumable."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from humanmotion.files import writable_folder
from humanmotion.generation.retrieval import Evaluator, EvaluatorConfig, contrast
from humanmotion.jobs.early_stopping import fabric_on
from humanmotion.jobs.evaluator_data import EvaluatorPairs, Pairs
from humanmotion.jobs.evaluator_scores import embed, load_evaluator, write_threshold
from humanmotion.jobs.network_run import Draws, check_same_run, read_settings, train_in
from humanmotion.jobs.shards import Shards
from humanmotion.jobs.stages import Progress, silent

CONFIG = Path(__file__).with_name("evaluator.toml")


def train_evaluator(
    data: str | Path,
    *,
    output: str | Path,
    config: str | Path = CONFIG,
    device: str = "cpu",
    progress: Progress = silent,
) -> Path:
    """Train the evaluator on the train split of a folder of shards; returns the weights' path.

    Kept are the weights that tell the val split's pairs apart best; beside them lies the cosine from
    which a label fits, which the val split sets too. Raises InputError for data or a
    config that cannot be used, MissingExtraError without the `train` extra. Run again after an
    interruption, it goes on where it was.
    """
    settings = read_settings(config, EvaluatorConfig, what="evaluator")
    fabric = fabric_on(device, settings["precision"])
    folder = writable_folder(output)
    check_same_run(folder / "evaluator.run.json", settings)
    shards = Shards.read(data)
    train, val = (EvaluatorPairs.of(shards, split=split) for split in ("train", "val"))
    torch.manual_seed(settings["seed"])
    network = Evaluator(EvaluatorConfig(**settings["network"]))
    mean, scale = train.moments()
    network.mean.copy_(mean)
    network.scale.copy_(scale)
    weights = train_in(folder, "evaluator", network, settings=settings,
                       losses=(_loss(train, fabric.device), _loss(val, fabric.device)),
                       fabric=fabric, progress=progress)  # fmt: skip
    if fabric.is_global_zero:
        write_threshold(weights, embed(load_evaluator(weights), val))
    return weights


def _loss(pairs: EvaluatorPairs, device: torch.device) -> Draws:
    def loss(network: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        drawn = _drawn(pairs, min(count, len(pairs.clips)), generator)
        text, motion = network(
            drawn.features.to(device), drawn.mask.to(device), drawn.tokens.to(device),
            token_mask=drawn.token_mask.to(device),
        )  # fmt: skip
        # Left and right must be told apart, though their sentences are alike.
        return contrast(text, motion, (drawn.same & ~drawn.opposed).to(device))

    return loss


def _drawn(pairs: EvaluatorPairs, count: int, generator: torch.Generator) -> Pairs:
    """Drawn on the CPU, where the shards are."""
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    return pairs.draw(count, generator=torch.Generator().manual_seed(seed))
