"""A generator of random weights, in the files that training writes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from humanmotion.body import BodyModel
from humanmotion.files import write_json, write_tensors
from humanmotion.generation.features import features_of
from humanmotion.generation.known import KnownCaptions
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.vimogen import ViMoGen, ViMoGenConfig
from humanmotion.jobs.known_captions import write_known
from humanmotion.motion import Motion

WALK, WAVE = "a person walks in a circle", "someone waves with the right hand"


def tiny_generator(folder: Path, motion: Motion, body: BodyModel, *, refers: bool = True) -> Path:
    """Weights about the statistics of a motion, and two captions that it is said to know."""
    torch.manual_seed(0)
    network = ViMoGen(
        ViMoGenConfig(width=32, hidden=48, blocks=1, heads=2, reference_blocks=int(refers))
    )
    torch.nn.init.normal_(network.head.head.weight, std=0.05)
    features = features_of(motion, body)
    network.mean.copy_(features.mean(0))
    network.spread.copy_((0.05 * features.std(0)).clamp(min=1e-4))
    path = folder / "generator.safetensors"
    write_tensors(path, network.state_dict())
    write_json(path.with_suffix(".json"), asdict(network.config))
    sentences = MiniLM.load().encode([WALK, WAVE]).sentence
    write_known(path.with_name("known"), KnownCaptions((WALK, WAVE), sentences, 0.6))
    return path
