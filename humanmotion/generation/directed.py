"""Motion from text under control: drawn with what is given, again where that is jerky, then put right.

See control.py for what can be given.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.generation.control import Control
from humanmotion.generation.easing import frames_at
from humanmotion.generation.features import FPS
from humanmotion.generation.hints import Kept
from humanmotion.generation.posture import unrest
from humanmotion.generation.reconcile import reconciled
from humanmotion.generation.sampler import (
    BATCH,
    FILE_FPS,
    LONGEST,
    SHORTEST,
    TextToMotion,
    at_file_rate,
)
from humanmotion.generation.sampling import Sampling, check_seed, drawn_features, noise_of
from humanmotion.motion import Motion

TRIES = 4
"""Times that a motion is drawn at most: the first that passes its keyframes calmly is taken, else the
calmest."""
AGAIN = 2**40
"""How far the seeds of tries are apart."""


def directed(
    make: TextToMotion,
    prompt: str,
    control: Control,
    *,
    seconds: float,
    num: int = 1,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
) -> list[Motion]:
    """`num` motions at 30 fps of a prompt that hit what `control` gives.

    Raises UsageError for a prompt or a length that cannot be, and for hits behind the end.
    """
    sampling = make.sampling.given(steps=steps, guidance=guidance)
    check_seed(seed)
    text, notes = make.checked(prompt)
    _check_length(control, seconds)
    if not 1 <= num <= BATCH:
        raise UsageError(f"{num} motions asked for; give 1 to {BATCH}")
    place = control.start(make.body.rest_joints())
    frames = round(seconds * FPS) + 1
    seeds = [seed * BATCH + k for k in range(num)]
    meta = {"text": text, "seed": seed, "notes": list(notes)}
    found = []
    drawn = _calmest(make, text, control, frames=frames, seeds=seeds, sampling=sampling)
    condition = make.condition([text])
    told = condition.text[0], condition.text_mask[0]
    for own, seed_of in zip(drawn, seeds, strict=True):
        fingers = make.fingers(own, text=told, seed=seed_of)
        motion = at_file_rate(
            own, make.body, seconds=seconds, hands=fingers, place=place, meta=meta
        )
        found.append(control.hit(motion, make.body))
    return found


def _calmest(
    make: TextToMotion,
    text: str,
    control: Control,
    *,
    frames: int,
    seeds: Sequence[int],
    sampling: Sampling,
) -> list[Tensor]:
    """Features `(T, 276)` of each seed, drawn again while they are jerky at a keyframe: see TRIES."""
    passed = control.passed(frames)
    best: dict[int, tuple[float, Tensor]] = {}
    left = list(range(len(seeds)))
    for number in range(TRIES):
        own = [seeds[k] + number * AGAIN for k in left]
        drawn = _drawn(make, text, control, frames=frames, seeds=own,
                       sampling=sampling)  # fmt: skip
        for k, features in zip(left, drawn, strict=True):
            jerky = max((unrest(features, join=at) for at in passed), default=0.0)
            if k not in best or jerky < best[k][0]:
                best[k] = jerky, features
        left = [k for k in left if best[k][0] > 1]
        if not left:
            break
    return [best[k][1] for k in range(len(seeds))]


def _drawn(
    make: TextToMotion,
    text: str,
    control: Control,
    *,
    frames: int,
    seeds: Sequence[int],
    sampling: Sampling,
) -> Tensor:
    """Features `(B, T, 276)` in which `control` is all but hit, one for each seed."""
    network, rest = make.network, make.body.rest_joints()
    device, count = network.mean.device, len(seeds)
    kept = control.kept(frames, control.start(rest), rest=rest)
    values = network.normalised(kept.values.to(device)).expand(count, -1, -1)
    noise = noise_of(network.noise, seeds, [frames] * count).to(device)
    condition = make.condition([text] * count)
    drawn = drawn_features(network, condition, noise, sampling=sampling, style=make.style,
                    kept=Kept(values, kept.mask.to(device).expand(count, -1, -1)))  # fmt: skip
    return reconciled(drawn.features, rest=rest, sure=drawn.sure)


def _check_length(control: Control, seconds: float) -> None:
    if not SHORTEST <= seconds <= LONGEST:
        raise UsageError(f"{seconds:g} seconds asked for; give {SHORTEST:g} to {LONGEST:g}")
    if int(frames_at(torch.tensor(control.last), FILE_FPS)) >= round(seconds * FILE_FPS):
        raise UsageError(
            f"a keyframe, waypoint or target at {control.last:.2f} s lies behind the motion's end at "
            f"{seconds:g} s"
        )
