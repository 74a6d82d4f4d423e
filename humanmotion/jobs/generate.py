"""`humanmotion generate`: prompts in, motion files out, and a page of all samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.generation.cleanup import cleaned
from humanmotion.generation.control import Control, directed
from humanmotion.generation.sampler import FILE_FPS, LONGEST, TextToMotion
from humanmotion.generation.sampling import DEFAULT, Sampling, check_seed
from humanmotion.generation.streaming import MOST_SECONDS, whole
from humanmotion.generation.text import checked_prompt
from humanmotion.io.onto_body import onto_body
from humanmotion.jobs.generate_files import check_samples, sample_files, write_samples
from humanmotion.jobs.generate_input import read_control
from humanmotion.jobs.stages import Progress, silent
from humanmotion.motion import Motion

SECONDS = 5.0
"""How long motions are if nothing says so."""
MOST_SAMPLES = 64
"""In one run: each is a body of nearly a megabyte on the page."""
_SEEDS = 2**32
_STRIDE = 2_654_435_761
"""Seeds of further samples lie apart as if drawn, so that those of neighbouring seeds are others."""


@dataclass(frozen=True)
class Generated:
    """What was written."""

    motions: tuple[Path, ...]
    """One file a sample, in the order of the prompts."""
    page: Path | None
    """All samples side by side; None for a single file."""
    notes: tuple[str, ...]
    """One line each: prompts that are unlike what was learnt, what was assumed in reading files."""


@dataclass(frozen=True)
class _Wish:
    """What is asked of the network; checks itself when built (raises UsageError)."""

    prompts: tuple[str, ...]
    seconds: tuple[float, ...]
    num: int
    seed: int
    sampling: Sampling
    sequence: bool

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for prompt in self.prompts:
            checked_prompt(prompt)
        count = self.num * len(self.prompts)
        if self.num < 1 or not 1 <= count <= MOST_SAMPLES:
            raise UsageError(
                f"{self.num} motions for each of {len(self.prompts)} prompts asked for; "
                f"give 1 to {MOST_SAMPLES} in all"
            )
        total = sum(self.seconds) if self.sequence else max(self.seconds)
        if not total <= MOST_SECONDS:
            raise UsageError(f"{total:g} seconds asked for; give at most {MOST_SECONDS:g}")

    def seed_of(self, prompt: int, sample: int) -> int:
        """The first of all is the user's own."""
        return (self.seed + _STRIDE * (prompt * MOST_SAMPLES + sample)) % _SEEDS


def generate(
    prompts: str | Sequence[str],
    *,
    output: str | Path,
    seconds: float | Sequence[float] | None = None,
    num: int = 1,
    seed: int = 0,
    steps: int = DEFAULT.steps,
    guidance: float = DEFAULT.guidance,
    sequence: bool = False,
    keyframes: str | Path | None = None,
    path: str | Path | None = None,
    mirror: bool = False,
    cleanup: bool = True,
    weights: str | Path | None = None,
    body: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Generated:
    """Make `num` motions at 30 fps of each prompt and write them where `output` says.

    A file name's ending is the format (MOTION_ENDINGS); with several samples their names are
    numbered. Any other name is a folder of .glb files. `seconds` is one length or one for each prompt,
    5 if not given, or as far as keyframes or the path reach; beyond 10 s motions are streamed.
    `sequence` makes one motion of all prompts, one after the other. `keyframes` is a motion file whose
    frames are hit at their times, `path` a CSV of seconds,x,y or a motion whose pelvis is followed.
    `mirror` swaps left and right in the end, `cleanup` plants feet and raises soles out of the floor.
    `weights` are the shipped ones if not given.

    Raises UsageError for what cannot be meant, InputError for a file that cannot be read, OutputError
    when a file exists without `overwrite` or cannot be written; nothing is made before that is known.
    """
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    sampling = Sampling(steps=steps, guidance=guidance)
    controlled = keyframes is not None or path is not None
    _check_together(controlled, sequence=sequence, mirror=mirror, body=body)
    wish = _Wish(tuple(texts), _lengths(seconds, len(texts)), num, seed, sampling, sequence)
    files = sample_files(output, ["; ".join(texts)] if sequence else texts, num=num)
    check_samples(files, overwrite=overwrite)
    make = TextToMotion.from_pretrained(weights)
    control, notes = read_control(make.body, keyframes=keyframes, path=path)
    if control is not None and seconds is None:
        wish = replace(wish, seconds=(_reaching(control),) * len(texts))
    made = _made(make, wish, control, progress=progress)
    model = make.body if body is None else BodyModel.load(body)
    done = [_finished(m, model, control=control, cleanup=cleanup, mirror=mirror) for m in made]
    progress("export", 0.0)
    write_samples(files, done, body=model, overwrite=overwrite)
    progress("export", 1.0)
    told = dict.fromkeys((*notes, *(n for m in done for n in m.meta["notes"])))
    return Generated(files.motions, files.page, tuple(told))


def _check_together(
    controlled: bool, *, sequence: bool, mirror: bool, body: str | Path | None
) -> None:
    """Refuse what would undo each other."""
    if not controlled:
        return
    if sequence:
        raise UsageError(
            "keyframes and paths are for single motions, of at most 10 s; leave --sequence out"
        )
    if mirror:
        raise UsageError(
            "a mirrored motion would no longer hit its keyframes or path; leave --mirror out"
        )
    if body is not None:
        raise UsageError(
            "keyframes and paths are hit on the default body; leave --body out, and put the result "
            "onto the other body with humanmotion convert --body"
        )


def _lengths(seconds: float | Sequence[float] | None, count: int) -> tuple[float, ...]:
    given = SECONDS if seconds is None else seconds
    lengths = [given] if isinstance(given, int | float) else list(given)
    lengths = lengths * count if len(lengths) == 1 else lengths
    if len(lengths) != count:
        raise UsageError(f"{len(lengths)} lengths for {count} prompts given; give one, or as many")
    for length in lengths:
        # The exact bounds are the sampler's; what has none is refused before weights are read.
        if not 0 < length < math.inf:
            raise UsageError(f"{length:g} seconds asked for; give 0.5 to {MOST_SECONDS:g}")
    return tuple(map(float, lengths))


def _reaching(control: Control) -> float:
    """Seconds until behind the last thing that is to be hit, in tenths."""
    return max(SECONDS, math.ceil(10 * (control.last + 1 / FILE_FPS) - 1e-6) / 10)


def _made(
    make: TextToMotion, wish: _Wish, control: Control | None, *, progress: Progress
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
    make: TextToMotion, wish: _Wish, prompts: Sequence[str], seconds: Sequence[float], *, seed: int
) -> Motion:
    return whole(
        make, prompts, seconds=seconds, seed=seed, steps=wish.sampling.steps,
        guidance=wish.sampling.guidance,
    )  # fmt: skip


def _finished(
    motion: Motion, body: BodyModel, *, control: Control | None, cleanup: bool, mirror: bool
) -> Motion:
    motion = onto_body(motion, body)
    if cleanup:
        motion = cleaned(motion, body, control=control)
    return motion.mirror() if mirror else motion
