"""A reference motion of any length, made anew by the reference-motion branch.

Up to ten seconds are one window (`TextToMotion.refine`). A longer one is cut into even windows, each of
which keeps the last second of what was made, as in streaming.py, and refers to its own part of the
motion, seen from that part's first pose, on that part's path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.generation.features import FPS, REFERENCE, features_of, recanonical
from humanmotion.generation.sampler import LONGEST, TextToMotion, at_file_rate
from humanmotion.generation.sampling import check_seed
from humanmotion.generation.streaming import AHEAD, KEPT, MOST_SECONDS, window
from humanmotion.generation.vimogen import Condition
from humanmotion.motion import Motion

MOST_FRAMES = round(LONGEST * FPS)


@dataclass(frozen=True)
class Part:
    """Feature frames `start` to `end` that a window sees; it hands out those before `until`."""

    start: int
    until: int
    end: int


def parts_of(frames: int) -> list[Part]:
    """Windows over so many frames, as even as can be: none is longer than MOST_FRAMES, and each but
    the first begins KEPT frames before what the one before it handed out ends."""
    if frames <= MOST_FRAMES:
        return [Part(0, frames, frames)]
    count = math.ceil((frames - KEPT) / (MOST_FRAMES - KEPT - AHEAD))
    step = math.ceil((frames - KEPT) / count)
    return [
        Part(k * step, min(until := KEPT + (k + 1) * step, frames), min(until + AHEAD, frames))
        for k in range(count)
    ]


def followed(
    make: TextToMotion, motion: Motion, *, seed: int = 0, steps: int | None = None
) -> Motion:
    """A motion like `motion`, at 30 fps, of its length; see `TextToMotion.refine` for what is kept.

    Raises UsageError beyond MOST_SECONDS and as `TextToMotion.refine` does below ten seconds.
    """
    check_seed(seed)
    if motion.duration > MOST_SECONDS:
        raise UsageError(
            f"a reference of {motion.duration:.0f} s given; at most {MOST_SECONDS:g} s are followed, "
            "so cut it"
        )
    if motion.duration <= LONGEST:
        return make.refine(motion, seed=seed, steps=steps)
    features, sampling = features_of(motion, make.body), make.sampling.given(steps=steps)
    made: Tensor | None = None
    for number, part in enumerate(parts_of(len(features))):
        found = window(
            make, _referring(make, features[part.start : part.end]),
            None if made is None else made[-KEPT:], frames=part.end - part.start,
            seed=seed * 1_000_003 + number, sampling=sampling, path=features[part.start : part.end],
        )[: part.until - part.start]  # fmt: skip
        made = found if made is None else torch.cat((made[:-KEPT], found))
    assert made is not None
    seconds = len(made) / FPS
    meta = {"text": "", "seed": seed, "notes": []}
    hands = make.fingers(made, seed=seed)
    return at_file_rate(made, make.body, seconds=seconds, hands=hands, meta=meta)


def _referring(make: TextToMotion, features: Tensor) -> Condition:
    """One sample that refers to features `(T, 276)` as seen from their own first pose."""
    network = make.network
    own = recanonical(features, rest=make.body.rest_joints()).to(network.mean.device)
    reference = network.normalised(own)[None, :, REFERENCE]
    yes = torch.ones(1, dtype=torch.bool, device=reference.device)
    text = reference.new_zeros(1, 1, network.config.text_width)
    return Condition(text, yes[:, None], yes, yes, reference=reference)
