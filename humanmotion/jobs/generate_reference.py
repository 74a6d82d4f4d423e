"""A reference motion for `generate`: read, or recovered from a video, and judged before it is followed.

ViMoGen's gate asks a vision-language model whether a recovered motion shows the prompt, and whether it
shakes; here the evaluator of texts and motions says the first.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import InputError
from humanmotion.files import asset, read_json
from humanmotion.generation.features import JOINTS, POSITIONS, features_of
from humanmotion.generation.reference import MOST_FRAMES
from humanmotion.generation.retrieval import Evaluator
from humanmotion.generation.text import TextEncoder
from humanmotion.io.convert import read_any
from humanmotion.io.npz import read_motion
from humanmotion.io.sniff import VIDEO_ENDINGS
from humanmotion.jobs.evaluator_scores import WEIGHTS, load_evaluator
from humanmotion.jobs.stages import Progress, silent
from humanmotion.metrics.mbench_joints import jitter_degree
from humanmotion.motion import Motion

JITTER = 0.04
"""MBench's Jitter_Degree at 20 fps from which a reference is too shaky to follow (ViMoGen's code)."""
SIMILARITY = 0.25
"""Cosine of the evaluator from which a reference shows what the prompt says: what tells the val clips'
own captions from others best (`evaluator.match.json`)."""


@dataclass(frozen=True)
class Verdict:
    """Whether a reference is followed."""

    follow: bool
    why: str
    """What was measured and held against which bound, without a full stop."""


def read_reference(
    path: str | Path, body: BodyModel, *, seed: int = 0, progress: Progress = silent
) -> Motion:
    """The motion of a motion file of any rate and skeleton, or of the main person of a video.

    Notes on how it was read or recovered are in `meta["notes"]`. Raises what readers raise, and for a
    video what `reconstruct` raises.
    """
    path = Path(path)
    if path.suffix.lower() not in VIDEO_ENDINGS:
        return read_any(path, body=body)
    # It takes seconds to import, and only videos need it.
    from humanmotion.jobs.reconstruct import reconstruct

    with tempfile.TemporaryDirectory() as folder:
        files = reconstruct(path, output=Path(folder) / "out", seed=seed, progress=progress)
        motion = read_motion(files.motions[0])
        told = read_json(files.report_json)["warnings"]
    notes = [f"{path.name}: {warning}" for warning in told]
    return replace(motion, meta=motion.meta | {"notes": [*motion.meta.get("notes", ()), *notes]})


def judged(features: Tensor, *, similarity: float | None) -> Verdict:
    """Whether a reference of features `(T, 276)` is followed.

    It must shake less than JITTER and, where `similarity` to the prompt is known, that must be
    SIMILARITY or more. What is too short to shake does not.
    """
    joints = features[:, POSITIONS].unflatten(-1, (JOINTS, 3))
    jitter = jitter_degree(joints) if len(joints) > 2 else 0.0
    calm = jitter < JITTER
    said = [f"jitter {jitter:.3f} is {'below' if calm else 'not below'} {JITTER:g}"]
    if similarity is None:
        return Verdict(calm, said[0])
    alike = similarity >= SIMILARITY
    bound = f"{'at least' if alike else 'below'} {SIMILARITY:g}"
    said.append(f"similarity to the prompt {similarity:.2f} is {bound}")
    return Verdict(calm and alike, " and ".join(said))


@torch.no_grad()
def similarity_to(
    prompt: str, features: Tensor, *, evaluator: Evaluator, encoder: TextEncoder
) -> float:
    """Cosine between a prompt and features `(T, 276)`: the mean over parts of at most ten seconds."""
    parts = features.tensor_split(-(-len(features) // MOST_FRAMES))
    said = encoder.encode([prompt])
    text = evaluator.embed_text(said.tokens, said.mask)
    seen = [evaluator.embed_motion(p[None], torch.ones(1, len(p), dtype=torch.bool)) for p in parts]
    return float((torch.cat(seen) @ text[0]).mean())


def gate(motion: Motion, prompt: str | None, *, body: BodyModel, encoder: TextEncoder) -> Verdict:
    """`judged` of a motion; the prompt counts where there is one and the evaluator is shipped."""
    features = features_of(motion, body)
    similarity = None
    if prompt is not None and _shipped_evaluator():
        similarity = similarity_to(prompt, features, evaluator=load_evaluator(), encoder=encoder)
    return judged(features, similarity=similarity)


def _shipped_evaluator() -> bool:
    try:
        return asset(WEIGHTS).exists()
    except InputError:
        return False
