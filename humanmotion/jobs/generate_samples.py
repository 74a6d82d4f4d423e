"""The samples that `generate` was asked for, however long, by text or by a reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from humanmotion.errors import InputError, UsageError
from humanmotion.generation.control import Control, directed
from humanmotion.generation.reference import followed
from humanmotion.generation.sampler import FILE_FPS, LONGEST, SHORTEST, TextToMotion
from humanmotion.generation.sampling import Sampling, check_seed
from humanmotion.generation.streaming import MOST_SECONDS, whole
from humanmotion.generation.text import checked_prompt
from humanmotion.jobs.generate_reference import gate, read_reference
from humanmotion.jobs.stages import Progress
from humanmotion.motion import Motion

SECONDS = 5.0
"""How long motions are if nothing says so."""
MOST_SAMPLES = 64
"""In one run: each is a body of nearly a megabyte on the page."""
_SEEDS = 2**32
_STRIDE = 2_654_435_761
"""Seeds of further samples lie apart as if drawn, so that those of neighbouring seeds are others."""


@dataclass(frozen=True)
class Wish:
    """What is asked of the network; checks itself when built (raises UsageError)."""

    prompts: tuple[str, ...]
    """Without any a reference alone says what is wanted."""
    seconds: tuple[float, ...]
    """One for each prompt."""
    num: int
    seed: int
    sampling: Sampling
    sequence: bool

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for prompt in self.prompts:
            checked_prompt(prompt)
        count = max(len(self.prompts), 1)
        if self.num < 1 or not 1 <= self.num * count <= MOST_SAMPLES:
            raise UsageError(
                f"{self.num} motions for each of {count} prompts asked for; "
                f"give 1 to {MOST_SAMPLES} in all"
            )
        total = sum(self.seconds) if self.sequence else max(self.seconds, default=0.0)
        if not total <= MOST_SECONDS:
            raise UsageError(f"{total:g} seconds asked for; give at most {MOST_SECONDS:g}")

    def seed_of(self, prompt: int, sample: int) -> int:
        """The first of all is the user's own."""
        return (self.seed + _STRIDE * (prompt * MOST_SAMPLES + sample)) % _SEEDS


def lengths(seconds: float | Sequence[float] | None, count: int) -> tuple[float, ...]:
    """A length for each of `count` prompts; raises UsageError for other counts, and for none at all."""
    given = SECONDS if seconds is None else seconds
    found = [given] if isinstance(given, int | float) else list(given)
    found = found * count if len(found) == 1 else found
    if len(found) != count:
        raise UsageError(f"{len(found)} lengths for {count} prompts given; give one, or as many")
    for length in found:
        # The exact bounds are the sampler's; what has none is refused before weights are read.
        if not 0 < length < math.inf:
            raise UsageError(f"{length:g} seconds asked for; give {SHORTEST:g} to {MOST_SECONDS:g}")
    return tuple(map(float, found))


def reaching(wish: Wish, control: Control) -> Wish:
    """The same as long as `control` reaches, in tenths of a second, and no shorter than SECONDS."""
    tenths = math.ceil(10 * (control.last + 1 / FILE_FPS) - 1e-6)
    return replace(wish, seconds=(max(SECONDS, tenths / 10),) * len(wish.prompts))


def samples(
    make: TextToMotion, wish: Wish, control: Control | None, *, progress: Progress
) -> list[Motion]:
    """All samples, those of a prompt in a row."""
    found: list[Motion] = []
    progress("generate", 0.0)
    if wish.sequence:
        for k in range(wish.num):
            found.append(_streamed(make, wish, wish.prompts, wish.seconds, seed=wish.seed_of(0, k)))
            progress("generate", (k + 1) / wish.num)
        return found
    for i, (prompt, seconds) in enumerate(zip(wish.prompts, wish.seconds, strict=True)):
        seed, steps, guidance = wish.seed_of(i, 0), wish.sampling.steps, wish.sampling.guidance
        if control is not None:
            found += directed(make, prompt, control, seconds=seconds, num=wish.num, seed=seed,
                              steps=steps, guidance=guidance)  # fmt: skip
        elif seconds <= LONGEST:
            found += make(prompt, seconds=seconds, num=wish.num, seed=seed,
                          steps=steps, guidance=guidance)  # fmt: skip
        else:
            found += [
                _streamed(make, wish, [prompt], [seconds], seed=wish.seed_of(i, k))
                for k in range(wish.num)
            ]
        progress("generate", (i + 1) / len(wish.prompts))
    return found


def _streamed(
    make: TextToMotion, wish: Wish, prompts: Sequence[str], seconds: Sequence[float], *, seed: int
) -> Motion:
    return whole(
        make, prompts, seconds=seconds, seed=seed, steps=wish.sampling.steps,
        guidance=wish.sampling.guidance,
    )  # fmt: skip


def referred_samples(
    make: TextToMotion, wish: Wish, reference: str | Path, *, progress: Progress
) -> tuple[list[Motion], tuple[str, ...]]:
    """Samples that follow a reference, or the prompt at its length, and notes: which, why, how read.

    Raises InputError for a reference that cannot be followed where there is no prompt.
    """
    name, prompt = Path(reference).name, wish.prompts[0] if wish.prompts else None
    motion = read_reference(reference, make.body, seed=wish.seed, progress=progress)
    verdict = gate(motion, prompt, body=make.body, encoder=make.encoder)
    notes = tuple(motion.meta.get("notes", ()))
    if not verdict.follow:
        if prompt is None:
            raise InputError(
                f"reference {name} is not followed: {verdict.why}; give a prompt to follow instead"
            )
        wish = replace(wish, seconds=(max(motion.duration, SHORTEST),))
        told = f"reference {name} is not followed, the prompt is: {verdict.why}"
        return samples(make, wish, None, progress=progress), (told, *notes)
    found = []
    progress("generate", 0.0)
    for k in range(wish.num):
        made = followed(make, motion, seed=wish.seed_of(0, k), steps=wish.sampling.steps)
        found.append(replace(made, meta=made.meta | {"text": prompt or name, "reference": name}))
        progress("generate", (k + 1) / wish.num)
    return found, (f"reference {name} is followed: {verdict.why}", *notes)
