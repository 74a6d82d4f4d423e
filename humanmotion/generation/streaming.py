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

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.generation.cleanup import cleaned
from humanmotion.generation.features import (
    FPS,
    JOINTS,
    SIZE,
    TRANSL,
    inverse,
    motion_of,
    place_of,
    seen_from,
)
from humanmotion.generation.hints import Kept
from humanmotion.generation.posture import LAST, Postures
from humanmotion.generation.reconcile import grounded, levelled, reconciled
from humanmotion.generation.sampler import FILE_FPS, SHORTEST, TextToMotion, at_file_rate
from humanmotion.generation.sampling import (
    WIDEST,
    Sampling,
    check_seed,
    drawn_features,
    noise_of,
)
from humanmotion.generation.vimogen import Condition
from humanmotion.metrics import acceleration_peaks
from humanmotion.motion import Motion, concat

KEPT = 20
"""Frames at 20 fps that a window shares with what was made before."""
CHUNK = 60
"""Frames that a window adds."""
MOST_SECONDS = 600.0
"""Of one motion that is held as a whole."""
AHEAD = 2 * WIDEST
"""Frames made beyond them, so that smoothing knows what comes next."""
FREE = 6
"""Windows that are made of a prompt alone, to know its postures."""
TRIES = 4
"""Times that a window is drawn at most: the first that is like its prompt and joins on calmly is taken,
else the one that comes nearest."""
CALM = 1.5
"""Times the usual acceleration that it may be near a join."""
DOUBT, BOLD = 1.75, 2
"""How far hints are doubted, and in how many tries: who walks on from kept frames by hints alone walks
half as fast as who starts from none. Then they are taken at their word: what is odd calms down."""
_SEEDS = 1_000_003
"""Windows with seeds of their own, before the next seed's; tries are its square apart, which differ in
the 32 bits that count."""


def stream(
    make: TextToMotion,
    prompts: str | Sequence[str],
    *,
    seconds: float | Sequence[float] = math.inf,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
) -> Iterator[Motion]:
    """Motions at 30 fps of at most three seconds that follow on each other, in one world.

    `seconds`, one length or one for each prompt, are rounded to tenths; the last may be infinite.
    The same seed gives the same motion, however much of it is asked for. Raises UsageError, at once,
    for prompts, lengths or a `Sampling` that cannot be.
    """
    sampling = make.sampling.given(steps=steps, guidance=guidance)
    check_seed(seed)
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    frames = _frames(seconds, len(texts))
    checked = [make.checked(text) for text in texts]
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
    known: dict[str, Postures] = {}
    for (text, notes), wanted in zip(checked, frames, strict=True):
        condition = make.condition([text])
        into = 0
        while into < wanted:
            count = int(min(CHUNK, wanted - into))
            shared = 1 if held is None else len(held)
            own = seed * _SEEDS + number
            if held is None:
                fresh = _window(make, condition, None, seed=own, sampling=sampling)
            else:
                if text not in known:
                    known[text] = _postures(make, text, seed=seed, sampling=sampling)
                # Who goes over to a prompt is in its posture in the end.
                judged = CHUNK if into else LAST
                fresh = _accepted(make, condition, held, seed=own, sampling=sampling,
                                  postures=known[text], judged=judged)[shared - 1 :]  # fmt: skip
            held = fresh if held is None else torch.cat((held[:-1], fresh))
            # Before the cut: what is handed out does not hang on how much is asked for.
            fingers = make.fingers(
                held, text=(condition.text[0], condition.text_mask[0]), seed=seed, held=fingers,
                first=made - (len(held) - len(fresh)),
            )  # fmt: skip
            end = len(held) - CHUNK + count
            held, fingers = held[:end], None if fingers is None else fingers[:end]
            meta = {"text": text, "seed": seed, "notes": list(notes)}
            # The end of a chunk begins the next one.
            yield at_file_rate(
                held[-count - 1 :], make.body, seconds=count / FPS, start=made / FPS, meta=meta,
                hands=None if fingers is None else fingers[-count - 1 :],
            )  # fmt: skip
            held, fingers = held[-KEPT:], None if fingers is None else fingers[-KEPT:]
            into, made, number = into + count, made + count, number + 1


def _postures(make: TextToMotion, text: str, *, seed: int, sampling: Sampling) -> Postures:
    """Those of windows of a prompt that follow on nothing."""
    frames = 1 + CHUNK + AHEAD
    seeds = range((seed + 1) * _SEEDS - FREE, (seed + 1) * _SEEDS)
    noise = noise_of(make.network.noise, seeds, [frames] * FREE).to(make.network.mean.device)
    condition = make.condition([text] * FREE)
    drawn = drawn_features(make.network, condition, noise, sampling=sampling, style=make.style)
    features = reconciled(drawn.features, rest=make.body.rest_joints())
    return Postures.of([levelled(own, sole=make.body.sole_offset()) for own in features])


def _accepted(
    make: TextToMotion,
    condition: Condition,
    held: Tensor,
    *,
    seed: int,
    sampling: Sampling,
    postures: Postures,
    judged: int,
) -> Tensor:
    """Frames held and a window of CHUNK more, of which the last `judged` are looked at: see TRIES."""
    best, least = held, math.inf
    for number in range(TRIES):
        own = seed + number * _SEEDS**2
        drawn = replace(sampling, doubt=DOUBT) if number < BOLD else sampling
        made = _window(make, condition, held, seed=own, sampling=drawn)
        found = postures.oddness(made[-judged:])
        if found < least:
            found = max(found, _jerk(make.body, made, join=len(held) - 1))
        if found < least:
            best, least = made, found
        if least <= 1:
            break
    return best


def _jerk(body: BodyModel, features: Tensor, *, join: int) -> float:
    """How jerky features `(T, 276)` are at frame `join` as they are handed out, with planted feet.

    1 is the limit. The join lies on a frame of both rates, as it does in what is handed out.
    """
    odd = join % 2
    motion = cleaned(motion_of(features[odd:], body).resample(FILE_FPS), body)
    joints = body.joints_of(motion)[:, :JOINTS]
    at = round((join - odd) / FPS * FILE_FPS)
    return acceleration_peaks(joints, [at], fps=FILE_FPS)[0] / CALM


def _window(
    make: TextToMotion,
    condition: Condition,
    held: Tensor | None,
    *,
    seed: int,
    sampling: Sampling,
) -> Tensor:
    """Frames held, or one, and CHUNK more."""
    frames = (1 if held is None else len(held)) + CHUNK
    made = window(make, condition, held, frames=frames + AHEAD, seed=seed, sampling=sampling)
    return made[:frames]


def window(
    make: TextToMotion,
    condition: Condition,
    held: Tensor | None,
    *,
    frames: int,
    seed: int,
    sampling: Sampling,
    path: Tensor | None = None,
) -> Tensor:
    """Features `(frames, 276)` in the world, of which the first are those held, to the last digit.

    `condition` is of one sample; `held` `(n, 276)` is what was made before, if anything was. `path`
    `(frames, 276)` are features in the world that say where the root is to be.
    """
    network, rest = make.network, make.body.rest_joints()
    device = network.mean.device
    place = None if held is None else place_of(held)
    values = torch.zeros(1, frames, SIZE, device=device)
    mask = torch.zeros_like(values, dtype=torch.bool)
    if path is not None:
        own = path if place is None else seen_from(path, place, rest=rest)
        values[0, :, TRANSL] = network.normalised(own.to(device))[:, TRANSL]
        mask[..., TRANSL] = True
    if held is not None and place is not None:
        values[0, : len(held)] = network.normalised(seen_from(held, place, rest=rest).to(device))
        mask[:, : len(held)] = True
    kept = Kept(values, mask) if bool(mask.any()) else None
    noise = noise_of(network.noise, [seed], [frames]).to(device)
    drawn = drawn_features(
        network, condition, noise, sampling=sampling, kept=kept, style=make.style
    )
    features = drawn.features[0]
    sure = drawn.sure[0] if path is not None and drawn.sure is not None else None
    if held is None or place is None:
        features = reconciled(features, rest=rest, sure=sure)
        return features if path is not None else levelled(features, sole=make.body.sole_offset())
    features[: len(held)] = seen_from(held, place, rest=rest)
    features = reconciled(features, rest=rest, held=len(held), sure=sure)
    features = seen_from(features, inverse(place), rest=rest)
    if path is None:
        features = grounded(features, sole=make.body.sole_offset(), held=len(held))
    # As they were: what was handed out stays true.
    return torch.cat((held, features[len(held) :]))


def whole(
    make: TextToMotion,
    prompts: str | Sequence[str],
    *,
    seconds: float | Sequence[float],
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
) -> Motion:
    """The motion at 30 fps of prompts one after the other, each its `seconds` long.

    Raises as `stream`, and UsageError for more than MOST_SECONDS in all: these are streamed.
    """
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    total = sum(_frames(seconds, len(texts))) / FPS
    if total > MOST_SECONDS:
        raise UsageError(
            f"{total:g} seconds asked for; at most {MOST_SECONDS:g} are made as one motion, "
            "so give less, or stream them in Python"
        )
    parts = list(stream(make, texts, seconds=seconds, seed=seed, steps=steps, guidance=guidance))
    notes = dict.fromkeys(note for part in parts for note in part.meta["notes"])
    meta = {"text": "; ".join(texts), "seed": seed, "notes": list(notes)}
    return replace(concat(parts), meta=meta)
