"""The priors that `bench prior` compares, all behind the one question that the solver asks.

Every method gets the same solver, start, observations and levels; only the prior differs. Gaps in what
the sources recorded are drawn for the mixture and the published recipe, which know no missing joints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from humanmotion.diffusion.paths import SUB_VP
from humanmotion.errors import InputError
from humanmotion.files import sha256
from humanmotion.jobs.baseline_weights import (
    PUBLISHED_BODIES,
    WHITENED,
    finished,
    read_published,
    read_whitened,
)
from humanmotion.jobs.prior_data import PoseSet
from humanmotion.prior.baseline_mixture import GaussianMixture
from humanmotion.prior.baselines import BaselinePrior, Gaussian, MeanPose, NoPrior
from humanmotion.prior.model import FIT_TRUST, Kind, PosePrior
from humanmotion.prior.published import Normaliser, PublishedPrior
from humanmotion.prior.solver import Expect
from humanmotion.prior.space import BODY, EXPRESSION_TOKEN, SIZE, TOKENS, PoseSpace, spread_tokens
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

NUMBERS = 3 * BODY.stop
COMPONENTS = 8
THIN = 3
"""One training frame in so many fits the baselines; neighbours say the same thing."""
LABELS = {
    "dp": "DP",
    "dp_clean_target": "DP, clean target",
    "dp_preconditioned": "DP, preconditioned",
    "vae": "VAE",
    "distance": "distance field",
}


class Denoises(Protocol):
    """A prior of raw body numbers."""

    @property
    def normaliser(self) -> Normaliser:
        """Its deviation is the unit of its noise levels."""

    def denoise(self, pose: Tensor, rho: float) -> Tensor:
        """Where poses `(..., 63)` at level `rho` are pulled to."""


Look = Callable[[], tuple[Tensor, Tensor]]
"""`solver.look`, not yet taken: most priors need none."""


@dataclass(frozen=True)
class Method:
    """One prior, as the solver sees it."""

    name: str
    space: PoseSpace
    expects: Callable[[int, Look], Expect]
    """From the frames of a clip and a look at what was seen of them to what the solver calls, on clips
    one after another."""

    def begin(self, space: PoseSpace, count: int) -> Tensor:
        """The mean pose of `space`, where every method begins, in its own numbers `(count, 172)`."""
        return self.space.to_state(space.to_rotations(torch.zeros(count, SIZE)))


def methods(prior: PosePrior, *, train: PoseSet) -> list[Method]:
    """Ours and the baselines that are quick to fit: none, mean pose, Gaussian, mixture."""
    poses, weights = numbers(prior.space, train)
    other, its_weights = numbers(prior.space, train.mirrored())
    poses, weights = torch.cat((poses, other)), torch.cat((weights, its_weights))
    gaussian = Gaussian.fit(poses, weights)
    filled = gaussian.filled(poses, weights, generator=torch.Generator().manual_seed(0))
    fitted: dict[str, BaselinePrior] = {
        "none": NoPrior(),
        "mean pose": MeanPose.fit(poses, weights),
        "gaussian": gaussian,
        f"gmm-{COMPONENTS}": GaussianMixture.fit(
            filled, torch.ones(len(filled)), components=COMPONENTS, seed=0
        ),
    }
    out = [_baseline(name, one, prior.space) for name, one in fitted.items()]
    return [*out, ours("ours", prior, "pose"), ours("ours, temporal", prior, "motion")]


def ours(name: str, prior: PosePrior, kind: Kind) -> Method:
    """A prior of ours, shown the body alone."""
    body = torch.zeros(TOKENS, dtype=torch.bool)
    body[BODY] = True

    def expects(frames: int, look: Look) -> Expect:
        classes = None
        if kind == "motion":
            classes = prior.liveliness(*(x.unflatten(0, (-1, frames)) for x in look()))

        def expect(state: Tensor, level: float) -> Tensor:
            rho = torch.where(body, torch.tensor(level), torch.inf)
            windows = state.reshape(-1, frames, SIZE)
            clean = prior.denoise(windows, rho, kind=kind, classes=classes, trust=FIT_TRUST)
            return clean.reshape(-1, SIZE)

        return expect

    return Method(name, prior.space, expects)


def published(weights: Path) -> dict[str, PublishedPrior]:
    """Bodies' priors that `train baselines` wrote into a folder, by file name; raises InputError for
    none."""
    out = {p.stem: read_published(p) for n, _, p in finished(weights) if n in PUBLISHED_BODIES}
    if not out:
        raise InputError(f"{weights} holds no weights that `humanmotion train baselines` wrote")
    return out


def trained_methods(weights: Path) -> list[Method]:
    """All in the folder that know bodies: the published ones, the autoencoder, the distance field."""
    found: dict[str, Denoises] = {**published(weights)}
    found |= {p.stem: read_whitened(p) for n, _, p in finished(weights) if n in WHITENED}
    return [trained_method(label(stem), one) for stem, one in found.items()]


def label(stem: str) -> str:
    """What rows call the network of a file."""
    name, _, seed = stem.rpartition("_")
    return f"{LABELS[name]}, seed {seed}"


def fingerprint(weights: Path) -> str:
    """Short hash of a folder of weights."""
    hashes = [f"{p.name}={sha256(p)[:8]}" for p in sorted(weights.glob("*.safetensors"))
              if "checkpoint" not in p.name]  # fmt: skip
    return ", ".join(hashes)


def trained_method(name: str, prior: Denoises) -> Method:
    """A trained prior for our solver, in numbers whose unit is its own deviation."""
    deviation = torch.ones(SIZE)
    deviation[:NUMBERS] = prior.normaliser.deviation
    space = PoseSpace(torch.eye(3).expand(EXPRESSION_TOKEN, 3, 3).clone(), deviation)

    def expect(state: Tensor, level: float) -> Tensor:
        clean = torch.zeros_like(state)
        raw = prior.denoise(state[:, :NUMBERS] * deviation[:NUMBERS], level)
        clean[:, :NUMBERS] = raw / deviation[:NUMBERS]
        return clean

    return Method(name, space, lambda frames, look: expect)


def as_published(prior: PosePrior) -> PublishedPrior:
    """Our prior of single poses in the numbers, and behind the questions, of the published loops.

    They put the same noise on raw rotation vectors; ours is told the level that it has in its own
    numbers, joint by joint.
    """
    spread = prior.space.spread[:NUMBERS]
    mean = matrix_to_rotvec(prior.space.mean[BODY]).flatten()
    normaliser = Normaliser(mean, spread, torch.ones(NUMBERS))
    body = torch.zeros(TOKENS, dtype=torch.bool)
    body[BODY] = True

    def noise(state: Tensor, t: Tensor) -> Tensor:
        alpha, rho = SUB_VP.alpha(t), SUB_VP.rho(t)
        noisy = state / alpha[..., None]
        turned = rotvec_to_matrix(normaliser.to_pose(noisy).unflatten(-1, (-1, 3)))
        rotations = torch.eye(3).expand(*turned.shape[:-3], EXPRESSION_TOKEN + 1, 3, 3).clone()
        rotations[..., 1 + BODY.start : 1 + BODY.stop, :, :] = turned
        level = torch.where(body, rho[..., None].expand(*noisy.shape[:-1], TOKENS), torch.inf)
        clean = prior.denoise(prior.space.to_state(rotations)[..., None, :], level[..., None, :])
        found = prior.space.to_rotations(clean[..., 0, :])[
            ..., 1 + BODY.start : 1 + BODY.stop, :, :
        ]
        raw = normaliser.to_state(matrix_to_rotvec(found).flatten(-2))
        return (noisy - raw) / rho[..., None]

    return PublishedPrior(noise, normaliser)


def _baseline(name: str, one: BaselinePrior, space: PoseSpace) -> Method:
    def expect(state: Tensor, level: float) -> Tensor:
        clean = torch.zeros_like(state)
        clean[:, :NUMBERS] = one.anchor(state[:, :NUMBERS], level)
        return clean

    return Method(name, space, lambda frames, look: expect)


def numbers(space: PoseSpace, poses: PoseSet) -> tuple[Tensor, Tensor]:
    """Body numbers `(N, 63)` of one pose in THIN and which were recorded, as 0 and 1."""
    some = poses[torch.arange(0, len(poses), THIN)]
    root = torch.eye(3).expand(len(some), 1, 3, 3)
    state = space.to_state(torch.cat((root, some.rotations), 1), some.expression)
    seen = spread_tokens(some.recorded)[:, :NUMBERS]
    return state[:, :NUMBERS], seen.float()
