"""The published recipe (MDM) in the place of ours: texts in, motions at 30 fps out.

`humanmotion train baselines --which generation` trains it; without its folder its rows are not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from humanmotion.body import BodyModel
from humanmotion.generation.features import FPS, motion_of
from humanmotion.generation.mdm import MDM, mdm_sampled
from humanmotion.generation.sampler import BATCH, FILE_FPS, MOST_SAMPLES
from humanmotion.generation.sampling import smoothed
from humanmotion.generation.text import TextEncoder
from humanmotion.jobs.mdm_training import load_mdm
from humanmotion.motion import Motion

WEIGHTS = "mdm_0.safetensors"


@dataclass(frozen=True)
class MDMToMotion:
    """A trained network with what it needs to answer prompts."""

    network: MDM
    encoder: TextEncoder
    body: BodyModel

    def __call__(self, texts: Sequence[str], seconds: Sequence[float], seed: int) -> list[Motion]:
        """A motion for each text, with the smoothing and the file rate that ours has."""
        found: list[Motion] = []
        for at in range(0, len(texts), BATCH):
            part, lengths = texts[at : at + BATCH], seconds[at : at + BATCH]
            frames = [round(length * FPS) + 1 for length in lengths]
            seeds = [seed * MOST_SAMPLES + at + i for i in range(len(part))]
            said = self.encoder.encode(part).sentence
            made = mdm_sampled(self.network, said, frames, seeds=seeds)
            for values, count, length in zip(made, frames, lengths, strict=True):
                features = smoothed(values[:count] * self.network.spread + self.network.mean)
                motion = motion_of(features.cpu(), self.body).resample(FILE_FPS)
                found.append(motion[: round(length * FILE_FPS)])
        return found


def load_mdm_to_motion(
    weights: Path, encoder: TextEncoder, *, body: BodyModel
) -> MDMToMotion | None:
    """What `train baselines` left in the folder `weights`; None when it holds none."""
    path = weights / WEIGHTS
    return MDMToMotion(load_mdm(path), encoder, body) if path.exists() else None
