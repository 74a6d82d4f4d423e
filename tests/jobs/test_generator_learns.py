"""A small generator told two motions by name makes the one that is asked for, or referred to."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.diffusion.noise import Noise
from humanmotion.diffusion.training import Schedule, Trainer
from humanmotion.generation.features import body_joints, decode
from humanmotion.generation.sampling import Sampling, noise_of, sampled
from humanmotion.generation.vimogen import REFERENCE, Condition, ViMoGen, ViMoGenConfig
from humanmotion.jobs import generator_data
from humanmotion.jobs.early_stopping import fabric_on
from humanmotion.jobs.generator_data import GeneratorWindows, statistics
from humanmotion.jobs.train_generator import LEAST_SPREAD, Branches, Objective
from tests.jobs.generator_shards import WIDTH, write_shards

pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("default")
FRAMES, STEPS = 40, 300


@pytest.fixture(scope="module")
def windows(tmp_path_factory) -> GeneratorWindows:
    """Two clips of two seconds, with a caption each."""
    folder = write_shards(tmp_path_factory.mktemp("shards"))
    train = GeneratorWindows.read(folder, split="train", body=BodyModel.load())
    clips = train.clips[[0, 2]].clone()
    clips[:, 1] = FRAMES + 1
    captions = torch.tensor([0, 1])[:, None, None].expand(2, 2, 1)
    return replace(train, clips=clips, known=train.known[[0, 0]], captions=captions,
                   counts=torch.ones(2, 2, dtype=torch.long), varied=False)  # fmt: skip


@pytest.fixture(scope="module")
def learnt(windows) -> tuple[ViMoGen, list[float]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator_data, "FRAMES", (FRAMES, FRAMES))
        torch.manual_seed(0)
        network = ViMoGen(ViMoGenConfig(
            width=64, hidden=128, blocks=2, heads=4, reference_blocks=1, text_width=WIDTH
        ))  # fmt: skip
        mean, spread = statistics(windows, draws=1)
        network.mean.copy_(mean)
        network.spread.copy_(spread.clamp(min=LEAST_SPREAD))
        schedule = Schedule(steps=STEPS, warmup=20, learning_rate=1e-2, ema=0.9)
        trainer = Trainer(network, schedule, fabric=fabric_on("cpu", "32-true"))
        objective = Objective.of(network, Branches(text=0.6, dropped=0.2))

        def loss(module, generator):
            return objective(module, windows.draw(8, generator=generator), generator=generator)

        losses = [float(trainer.step(loss)) for _ in range(STEPS)]
    return trainer.average.eval(), losses


def clips(windows) -> torch.Tensor:
    """Features `(2, T, 276)`."""
    places, _ = windows._places(torch.arange(2), torch.ones(2), torch.zeros(2), length=FRAMES)
    return windows._encoded(places, torch.arange(2), torch.zeros(2, dtype=torch.bool))


def errors(network, windows, made) -> torch.Tensor:
    """Joint distances `(2, 2)`, metres, of samples to clips."""
    joints, truth = (
        body_joints(*decode(f), rest=windows.rest) for f in (network.restored(made), clips(windows))
    )
    return (joints[:, None] - truth).norm(dim=-1).mean((2, 3))


def test_the_loss_falls(learnt) -> None:
    losses = learnt[1]
    assert sum(losses[-30:]) < 0.65 * sum(losses[:30])


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_makes_what_is_asked_for(learnt, windows, guidance) -> None:
    network, no = learnt[0], torch.zeros(2, dtype=torch.bool)
    asked = Condition(windows.tokens[:2].float(), windows.token_mask[:2], no, no)
    made = sampled(network, asked, noise_of(Noise(), [1, 2], [FRAMES] * 2),
                   sampling=Sampling(steps=20, guidance=guidance))  # fmt: skip
    found = errors(network, windows, made)
    assert float(found.diagonal().max()) < 0.6 * float((found + torch.eye(2)).min())


def test_makes_what_is_referred_to(learnt, windows) -> None:
    network, yes = learnt[0], torch.ones(2, dtype=torch.bool)
    reference = network.normalised(clips(windows))[..., REFERENCE]
    asked = Condition(windows.tokens[:2].float(), windows.token_mask[:2], yes, yes, reference)
    made = sampled(network, asked, noise_of(Noise(), [3, 4], [FRAMES] * 2))
    found = errors(network, windows, made)
    assert float(found.diagonal().max()) < 0.6 * float((found + torch.eye(2)).min())
