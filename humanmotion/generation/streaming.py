"""Motion of any length, one prompt after the other, made three seconds at a time as it is needed.

Each window starts with the last second of what was made, which the sampler keeps, seen from where the
person stood then; so nothing is blended, and where the person goes is not bounded. Only that second is
held: memory does not grow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.generation.features import (
    FPS,
    SIZE,
    inverse,
    motion_of,
    place_of,
    seen_from,
)
from humanmotion.generation.hands import with_hands
from humanmotion.generation.sampler import FILE_FPS, SHORTEST, TextToMotion
from humanmotion.generation.sampling import (
    DEFAULT,
    SMOOTHING,
    Kept,
    Sampling,
    check_seed,
    noise_of,
    sampled,
    smoothed,
)
from humanmotion.generation.text import checked_prompt
from humanmotion.generation.vimogen import Condition
from humanmotion.motion import Motion

KEPT = 20
"""Frames at 20 fps that a window shares with what was made before."""
CHUNK = 60
"""Frames that a window adds."""
AHEAD = SMOOTHING // 2
"""Frames made beyond them, so that smoothing knows what comes next."""


def stream(
    make: TextToMotion,
    prompts: str | Sequence[str],
    *,
    seconds: float | Sequence[float] = math.inf,
    seed: int = 0,
    steps: int = DEFAULT.steps,
    guidance: float = DEFAULT.guidance,
) -> Iterator[Motion]:
    """Motions at 30 fps of at most three seconds that follow on each other, in one world.

    `seconds`, one length or one for each prompt, are rounded to tenths; the last may be infinite.
    The same seed gives the same motion, however much of it is asked for. Raises UsageError, at once,
    for prompts, lengths or a `Sampling` that cannot be.
    """
    sampling = Sampling(steps=steps, guidance=guidance)
    check_seed(seed)
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    frames = _frames(seconds, len(texts))
    checked = [checked_prompt(text) for text in texts]
    return _stream(make, checked, frames, seed=seed, sampling=sampling)


def _frames(seconds: float | Sequence[float], count: int) -> list[float]:
    """Frames at 20 fps of each prompt, even: a tenth of a second is a whole frame at 30 fps too."""
    given = [seconds] * count if isinstance(seconds, int | float) else list(seconds)
    if len(given) != count or not count:
        raise UsageError(f"{len(given)} lengths for {count} prompts given; give one, or as many")
    for place, length in enumerate(given, 1):
        if not length >= SHORTEST or (math.isinf(length) and place < count):
            raise UsageError(
                f"{length:g} seconds asked for prompt {place} of {count}; give {SHORTEST:g} or more, "
                "and no end to the last one alone"
            )
    return [length if math.isinf(length) else 2.0 * round(10 * length) for length in given]


def _stream(
    make: TextToMotion,
    checked: Sequence[tuple[str, tuple[str, ...]]],
    frames: Sequence[float],
    *,
    seed: int,
    sampling: Sampling,
) -> Iterator[Motion]:
    held, fingers, made, number = None, None, 0, 0
    for (text, notes), wanted in zip(checked, frames, strict=True):
        condition = make.condition([text])
        left = wanted
        while left > 0:
            count = int(min(CHUNK, left))
            chunk = _window(
                make, condition, held, seed=seed * 1_000_003 + number, sampling=sampling
            )
            whole = chunk if held is None else torch.cat((held[:-1], chunk))
            end = len(whole) - CHUNK + count
            if make.hands is not None:
                told = condition.text[0], condition.text_mask[0]
                before = made - (len(whole) - len(chunk))
                fingers = make.hands(whole, text=told, seed=seed, held=fingers, first=before)
                fingers = fingers[:end]
            held = whole[:end]
            meta = {"text": text, "seed": seed, "notes": list(notes)}
            yield _at_file_rate(
                make, held[-count - 1 :], fingers=fingers, start=made / FPS, meta=meta
            )
            held, fingers = held[-KEPT:], None if fingers is None else fingers[-KEPT:]
            left, made, number = left - count, made + count, number + 1


def _window(
    make: TextToMotion, condition: Condition, held: Tensor | None, *, seed: int, sampling: Sampling
) -> Tensor:
    """`CHUNK + 1` frames of features in the world, of which the first is the last one held."""
    network, rest = make.network, make.body.rest_joints()
    device, shared = network.mean.device, 1 if held is None else len(held)
    length = shared + CHUNK + AHEAD
    kept, place = None, None
    if held is not None:
        place = place_of(held)
        values = torch.zeros(1, length, SIZE, device=device)
        values[0, :shared] = network.normalised(seen_from(held, place, rest=rest).to(device))
        mask = torch.zeros_like(values, dtype=torch.bool)
        mask[:, :shared] = True
        kept = Kept(values, mask)
    noise = noise_of([seed], [length]).to(device)
    values = sampled(network, condition, noise, sampling=sampling, kept=kept)[0]
    features = smoothed(network.restored(values)).cpu()
    if held is not None and place is not None:
        features = seen_from(features, inverse(place), rest=rest)
        # As they were, to the last digit: what was handed out stays true.
        features = torch.cat((held, features[shared:]))
    return features[shared - 1 : shared + CHUNK]


def _at_file_rate(
    make: TextToMotion,
    chunk: Tensor,
    *,
    fingers: Tensor | None,
    start: float,
    meta: dict[str, object],
) -> Motion:
    """The motion of a chunk `(n + 1, 276)` without its end, which begins the next one."""
    motion = motion_of(chunk, make.body)
    if fingers is not None:
        motion = with_hands(motion, fingers[-len(chunk) :])
    motion = motion.resample(FILE_FPS)
    motion = motion[: round((len(chunk) - 1) * FILE_FPS / FPS)]
    return replace(motion, times=motion.times + start, meta=meta)
