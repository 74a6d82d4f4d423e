"""`humanmotion fit complete`, `sample` and `score`: what needs nothing but the prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.files import asset, read_json, read_tensors
from humanmotion.io.convert import read_any
from humanmotion.io.npz import write_motion
from humanmotion.io.targets import check_file
from humanmotion.jobs.fit_input import FPS
from humanmotion.motion import MAX_FRAMES, Motion
from humanmotion.prior.model import PosePrior
from humanmotion.prior.sampling import complete, sample
from humanmotion.prior.scoring import score
from humanmotion.prior.space import EXPRESSION_TOKEN, TOKEN_NAMES, token_mask
from humanmotion.rotations import matrix_to_rotvec

WEIGHTS = "prior/prior.safetensors"


def load_prior(weights: str | Path | None = None) -> PosePrior:
    """The shipped prior, or one that `train prior` wrote; its `.json` lies beside the weights."""
    path = asset(WEIGHTS) if weights is None else Path(weights)
    return PosePrior.from_tensors(read_tensors(path), read_json(path.with_suffix(".json")))


def complete_file(
    source: str | Path,
    *,
    output: str | Path,
    hide: Sequence[str],
    hypotheses: int = 1,
    weights: str | Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> list[Path]:
    """The hidden joints of a motion drawn anew, `hypotheses` times; the others stay as they are."""
    first = Path(output)
    numbers = range(1, hypotheses + 1)
    paths = [first] if hypotheses == 1 else [first.with_stem(f"{first.stem}_{n}") for n in numbers]
    for path in paths:
        check_file(path, overwrite=overwrite)
    body, prior = BodyModel.load(), load_prior(weights)
    motion = read_any(source, body=body).resample(FPS)
    known = ~token_mask(*hide) & _present(motion)
    state = prior.space.to_state(motion.rotations, motion.expression)
    found = complete(prior, state, known, hypotheses=hypotheses, seed=seed, kind="motion")
    for path, one in zip(paths, found, strict=True):
        turned = prior.space.to_rotations(one, motion.rotations[:, 0])
        moved = replace(
            motion.with_rotations(turned),
            expression=prior.space.to_expression(one),
            joints_present=torch.ones_like(motion.joints_present),
        )
        write_motion(path, moved)
    return paths


def sample_file(
    output: str | Path,
    *,
    count: int = 1,
    seconds: float = 2.0,
    weights: str | Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> Path:
    """Movements drawn from the prior, one after another in one motion file, facing the viewer."""
    check_file(Path(output), overwrite=overwrite)
    if not (seconds > 0 and count * seconds * FPS <= MAX_FRAMES):
        raise UsageError(
            f"{count} x {seconds} s asked for; give at most {MAX_FRAMES} frames in all"
        )
    body, prior = BodyModel.load(), load_prior(weights)
    frames = max(1, round(seconds * FPS))
    states = sample(prior, count, seed=seed, kind="motion", frames=frames).flatten(0, 1)
    upright = torch.tensor(((1.0, 0, 0), (0, 0, -1), (0, 1, 0)))
    rotations = prior.space.to_rotations(states, upright.expand(len(states), 3, 3))
    joints = body.joints(rotations)
    lowest = (joints[:, [10, 11], 2] - body.sole_offset()).amin(-1)
    place = joints[:, 0] - lowest[:, None] * torch.tensor((0.0, 0.0, 1.0))
    motion = _motion(rotations, place, body, expression=prior.space.to_expression(states))
    write_motion(output, motion)
    return Path(output)


def score_file(source: str | Path, *, weights: str | Path | None = None) -> dict[str, float]:
    """How implausible a motion is: the mean, and each joint's; about 1 is what real motion shows."""
    body, prior = BodyModel.load(), load_prior(weights)
    motion = read_any(source, body=body)
    here = _present(motion)
    state = prior.space.to_state(motion.rotations, motion.expression)
    found = score(prior, state, present=here).mean(0)
    rows = {n: float(v) for n, v, p in zip(TOKEN_NAMES, found, here, strict=True) if p}
    return {"mean": sum(rows.values()) / max(len(rows), 1), **rows}


def _present(motion: Motion) -> Tensor:
    """Tokens `(55)` that the motion's source carries."""
    here = torch.zeros(EXPRESSION_TOKEN + 1, dtype=torch.bool)
    here[:EXPRESSION_TOKEN] = motion.joints_present[1:]
    here[EXPRESSION_TOKEN] = bool((motion.expression != 0).any())
    return here


def _motion(rotations: Tensor, place: Tensor, body: BodyModel, *, expression: Tensor) -> Motion:
    return Motion.create(
        matrix_to_rotvec(rotations),
        place - body.rest_joints()[0],
        fps=FPS,
        expression=expression,
        body_id=body.body_id,
        body_sha256=body.sha256,
    )
