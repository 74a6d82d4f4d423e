"""Material for `bench generation`: windows of a walk by thirteen names, networks of random weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from humanmotion.body import BodyModel
from humanmotion.files import write_json, write_tensors
from humanmotion.generation.features import features_of
from humanmotion.generation.mdm import MDM, MDMConfig
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.retrieval import Evaluator, EvaluatorConfig
from humanmotion.generation.vimogen import ViMoGen, ViMoGenConfig
from humanmotion.jobs.baseline_weights import write_baseline
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.shards import write_shards, write_texts
from humanmotion.prior.published import Normaliser

ACTIONS = (
    "walk", "wave", "salsa dance", "jump", "kick a ball", "sit on a chair", "swim", "climb stairs",
    "sweep the floor", "drink water", "throw a stone", "crawl", "play the drums",
)  # fmt: skip
"""Thirteen captions of which no two mean the same."""


def made_up_shards(folder: Path, *, held: int = 5) -> Path:
    """Thirteen actions in train and val, `held` clips of the first ones in seen and test each."""
    body = BodyModel.load()
    walk = walking_motion(body, seconds=8)
    splits = ["train"] * 13 + ["val"] * held + ["seen"] * held + ["test"] * held
    rows, features, start = [], [], 0
    for i, split in enumerate(splits):
        length = 90 if split == "test" else 40 + i
        values = features_of(walk[2 * i : 2 * i + length], body)
        action = ACTIONS[i % 13]
        rows.append({
            "id": f"s/{i}", "source": "s", "split": split, "action": action, "captions": [action],
            "mirrored_captions": [action], "given": 1, "frames": len(values), "start": start,
        })  # fmt: skip
        features.append(values)
        start += len(values)
    folder.mkdir(parents=True, exist_ok=True)
    write_texts(folder, ["", *ACTIONS], MiniLM.load())
    known = torch.ones(len(rows), 22, dtype=torch.bool)
    write_shards(folder, rows, features=torch.cat(features), known=known)
    return folder


def made_up_weights(folder: Path, shards: Path) -> Path:
    """A generator, a light student, an evaluator and a published recipe, small, of random weights."""
    from humanmotion.jobs.shards import Shards

    features = Shards.read(shards).features
    mean, spread = features.mean(0), (0.05 * features.std(0)).clamp(min=1e-4)
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"width": 32, "hidden": 48, "blocks": 1, "heads": 2}
    for name, references in (("generator", 1), ("light", 0)):
        network = ViMoGen(ViMoGenConfig(**sizes, reference_blocks=references))
        torch.nn.init.normal_(network.head.head.weight, std=0.05)
        network.mean.copy_(mean)
        network.spread.copy_(spread)
        write_tensors(folder / f"{name}.safetensors", network.state_dict())
        steps = {"steps": 2, "guidance": 1.0, "start": 1.0} if name == "light" else {"steps": 3}
        write_json(folder / f"{name}.json", asdict(network.config) | {"sampling": steps})
    evaluator = Evaluator(EvaluatorConfig(width=16, hidden=32, blocks=1, heads=2))
    write_tensors(folder / "evaluator.safetensors", evaluator.state_dict())
    write_json(folder / "evaluator.json", asdict(evaluator.config))
    write_mdm(folder, mean, spread)
    return folder


def write_mdm(folder: Path, mean: torch.Tensor, spread: torch.Tensor) -> None:
    """As `train baselines` writes it; the sizes are those of the patched module."""
    from humanmotion.jobs import mdm_training

    network = MDM(MDMConfig(**vars(mdm_training.SIZES)))
    found = {f"network/{k}": v for k, v in network.state_dict().items()}
    normaliser = Normaliser(mean, spread, torch.ones_like(mean))
    write_baseline(folder / "mdm_0.safetensors", found, normaliser=normaliser)
