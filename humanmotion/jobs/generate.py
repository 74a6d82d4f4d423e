"""`humanmotion generate`: prompts in, motion files out, and a page of all samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.generation.cleanup import cleaned
from humanmotion.generation.control import Control
from humanmotion.generation.sampler import TextToMotion
from humanmotion.generation.sampling import DEFAULT
from humanmotion.io.onto_body import onto_body
from humanmotion.jobs.generate_files import check_samples, sample_files, write_samples
from humanmotion.jobs.generate_input import Given, in_style, read_control
from humanmotion.jobs.generate_samples import Wish, lengths, reaching, referred_samples, samples
from humanmotion.jobs.stages import Progress, silent
from humanmotion.motion import Motion


@dataclass(frozen=True)
class Generated:
    """What was written."""

    motions: tuple[Path, ...]
    """One file a sample, in the order of the prompts."""
    page: Path | None
    """All samples side by side; None for a single file."""
    notes: tuple[str, ...]
    """One line each: prompts that are unlike what was learnt, what became of a reference, what was
    assumed in reading files."""


def generate(
    prompts: str | Sequence[str] = (),
    *,
    output: str | Path,
    seconds: float | Sequence[float] | None = None,
    num: int = 1,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    sequence: bool = False,
    keyframes: str | Path | None = None,
    path: str | Path | None = None,
    targets: str | Path | None = None,
    reference: str | Path | None = None,
    style: str | Path | None = None,
    style_strength: float | None = None,
    mirror: bool = False,
    cleanup: bool | None = None,
    weights: str | Path | None = None,
    light: bool = False,
    body: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Generated:
    """Make `num` motions at 30 fps of each prompt and write them where `output` says.

    A file name's ending is the format (MOTION_ENDINGS); with several samples their names are
    numbered. Any other name is a folder of .glb files. `seconds` is one length or one for each prompt,
    5 if not given, or as far as keyframes or the path reach; beyond 10 s motions are streamed. Steps
    and guidance are the sampler's own if not given. `sequence` makes one motion of all prompts, one
    after the other. `keyframes` is a motion file whose frames are hit at their times, `path` a CSV of
    seconds,x,y or a motion whose pelvis is followed, `targets` a CSV of seconds,joint,x,y,z.
    `reference` is a motion or a video whose motion is
    made anew, at its length, if it is calm and shows what the prompt, if any, says; else the prompt
    alone is followed, and a note says which and why. `style` is a motion whose posture and size of
    movement are carried over, by `style_strength` of 0 to 1, all of it if not given. `mirror` swaps
    left and right in the end, `cleanup` plants feet and raises soles out of the floor, which is done to
    all but references that are followed, on the body they are made on, unless it is said: feet that
    were captured are where they were. Without `weights` the shipped are used, with `light` the small
    student of few steps, which reads text alone.

    Raises UsageError for what cannot be meant, InputError for a file that cannot be read, OutputError
    when a file exists without `overwrite` or cannot be written; nothing is written then.
    """
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    given = Given(keyframes, path, targets, reference)
    if style is None and style_strength is not None:
        raise UsageError("a style strength without a style given; give the style's motion too")
    if light and weights is not None:
        raise UsageError("--light and --weights given, both say which weights; give one of them")
    if light and reference is not None:
        raise UsageError("the light student reads no references; leave out --light or --reference")
    given.check(texts, seconds=seconds, sequence=sequence, mirror=mirror, body=body)
    asked = DEFAULT.given(steps=steps, guidance=guidance)
    wish = Wish(tuple(texts), lengths(seconds, len(texts)), num, seed, asked, sequence)
    files = sample_files(output, given.titles(texts, sequence=sequence), num=num)
    check_samples(files, overwrite=overwrite)
    plain, control = TextToMotion.from_pretrained(weights, light=light), None
    make = in_style(plain, style, style_strength)
    if reference is not None and not make.network.config.refers:
        raise UsageError(
            f"{weights} read text alone; leave out the reference, or give a full model"
        )
    wish = replace(wish, sampling=make.sampling.given(steps=steps, guidance=guidance))
    if reference is not None:
        made, notes = referred_samples(make, wish, reference, progress=progress)
    else:
        control, notes = read_control(make.body, given)
        wish = wish if control is None or seconds is not None else reaching(wish, control)
        made = samples(make, wish, control, progress=progress)
    model = make.body if body is None else BodyModel.load(body)
    done = [_finished(m, model, control=control, cleanup=cleanup, mirror=mirror) for m in made]
    progress("export", 0.0)
    write_samples(files, done, body=model, overwrite=overwrite)
    progress("export", 1.0)
    told = dict.fromkeys((*notes, *(n for m in done for n in m.meta["notes"])))
    return Generated(files.motions, files.page, tuple(told))


def _finished(
    motion: Motion, body: BodyModel, *, control: Control | None, cleanup: bool | None, mirror: bool
) -> Motion:
    refers = "reference" in motion.meta and motion.body_id == body.body_id
    motion = onto_body(motion, body)
    wanted = cleanup if cleanup is not None else not refers
    if wanted:
        motion = cleaned(motion, body, control=control)
    return motion.mirror() if mirror else motion
