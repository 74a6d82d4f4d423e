"""Rows of `bench mbench` for systems: MBench's metrics of ours, of peers and of real motion.

Every clip is written as a user gets it and read by what `humanmotion score` reads with, so ours at
prompt N is `humanmotion generate TEXT --seconds S --seed N -o N.npz`, scored with `--prompts`. The
retrieval tasks are judged by an evaluator that was trained on the clips that ours was trained on.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from humanmotion.bench.generation_material import Makes, found_weights, maker
from humanmotion.bench.generation_mdm import load_mdm_to_motion
from humanmotion.bench.generation_retrieval import LIGHT, MDM, OURS, TOLD, nearest_captions
from humanmotion.bench.report import Baseline, Row
from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError
from humanmotion.files import read_json
from humanmotion.generation.cleanup import cleaned
from humanmotion.generation.features import motion_of
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.sampler import LONGEST, SHORTEST, TextToMotion
from humanmotion.generation.text import TextEncoder
from humanmotion.io.npz import write_motion
from humanmotion.jobs.evaluator_data import EvaluatorPairs
from humanmotion.jobs.score import MoreMetrics, score
from humanmotion.jobs.score_mesh import MESH_METRICS, MeshMetrics
from humanmotion.jobs.score_prompts import CONSISTENCY, GENERAL, POSE, QUALITY, read_prompts
from humanmotion.jobs.score_retrieval import RetrievalMetrics
from humanmotion.jobs.score_summary import CHANCE, aggregate
from humanmotion.jobs.score_systems import SystemScores
from humanmotion.jobs.shards import Shards
from humanmotion.metrics.mbench_joints import CLEARANCE, DEPTH, JOINT_METRICS
from humanmotion.metrics.mbench_names import CHOICE, MATCH
from humanmotion.motion import Motion

PROMPTS = Path("mbench", "mbench_prompts.json")
"""In the data folder."""
REAL, NEAREST = "real motion", "nearest training clip"
JOINTS = (*JOINT_METRICS, CLEARANCE, DEPTH)
GROUPS = (
    (QUALITY, JOINTS), (POSE, MESH_METRICS), (CONSISTENCY, (CHOICE,)), (GENERAL, (MATCH,)),
)  # fmt: skip
"""Groups of prompts and the metrics that are of their clips."""
MESH_EVERY = 3
"""The mesh takes seconds a clip, so every third is looked at."""
QUICK, QUICK_MESH = 8, 2
"""Clips of each group in the quick run."""
_TOLD = {
    **TOLD, NEAREST: "the training clip whose caption is most alike, whole",
    REAL: "real motion, test clips",
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """One prompt that every system answers."""

    number: int
    """Its `global_id`."""
    group: str
    total: int
    """Prompts that the group has."""
    text: str
    """The short one of its three: what is learnt are short captions of motion."""
    seconds: float
    """As it says, as far as the model goes."""


def rows(
    data: Path, shards: Shards | None, *, quick: bool = False, weights: Path | None = None
) -> list[Row]:
    """A row for each system and metric, real motion first; none where `data` holds no prompts.

    Models are those in the folder `weights`, what it lacks is taken from what is shipped. What has no
    weights, and without `shards` what is taken from those, has one row that is not run. Raises
    FileFormatError for a file that holds no prompts with their seconds.
    """
    path = data / PROMPTS
    if not path.exists():
        return []
    wanted = asked(path, quick=quick)
    body, encoder, mesh = BodyModel.load(), MiniLM.load(), MeshMetrics()
    makers, evaluator = makers_in(weights, encoder, body=body), found_weights(weights, "evaluator")
    words = [] if evaluator is None else [RetrievalMetrics(evaluator, encoder=encoder)]
    out: list[Row] = []
    with tempfile.TemporaryDirectory() as work:
        folders = [
            written(Path(work, name), answers(makes, wanted, body))
            for name, makes in makers.items()
            if makes is not None
        ]
        if shards is not None:
            out = real_rows(Path(work, REAL), shards, mesh, body=body, quick=quick)
            found = nearest_clips(shards, encoder, wanted, body=body)
            folders.append(written(Path(work, NEAREST), found))
        systems = score(folders, prompts=path, more=[mesh, *words]).systems if folders else ()
    real = {row.id.rpartition("/")[2]: row.value for row in out}
    out += [row for system in systems for row in system_rows(system, wanted, real)]
    lacking = [name for name, makes in makers.items() if makes is None]
    lacking += [REAL, NEAREST] if shards is None else []
    return out + [_not_run(name) for name in lacking]


def asked(path: Path, *, quick: bool) -> list[Asked]:
    """The prompts of a file that are answered, by group; raises FileFormatError as `rows`."""
    prompts, seconds = read_prompts(path), _seconds(path)
    found = []
    for group, _ in GROUPS:
        numbers = prompts.ids([group])
        for i in _some(numbers, mesh=group == POSE, quick=quick):
            if i not in seconds:
                raise FileFormatError(
                    f"{path}: prompt {i} has no motion_duration, seconds above 0; "
                    "give the benchmark's own mbench_prompts.json"
                )
            length = min(max(seconds[i], SHORTEST), LONGEST)
            found.append(Asked(i, group, len(numbers), prompts.by_id[i].text, length))
    return found


def makers_in(
    weights: Path | None, encoder: TextEncoder, *, body: BodyModel
) -> dict[str, Makes | None]:
    """The systems that make motion from text, at their own settings; None for those without weights."""
    found: dict[str, Makes | None] = {}
    for name, file in ((OURS, "generator"), (LIGHT, "light")):
        path = found_weights(weights, file)
        found[name] = None
        if path is not None:
            found[name] = maker(TextToMotion.from_pretrained(path, encoder=encoder, body=body))
    found[MDM] = None if weights is None else load_mdm_to_motion(weights, encoder, body=body)
    return found


def answers(makes: Makes, wanted: Sequence[Asked], body: BodyModel) -> Iterator[tuple[str, Motion]]:
    """Names and motions of the prompts, each made alone with its number as seed, cleaned up."""
    for one in wanted:
        (motion,) = makes([one.text], [one.seconds], one.number)
        yield str(one.number), cleaned(motion, body)


def nearest_clips(
    shards: Shards, encoder: TextEncoder, wanted: Sequence[Asked], *, body: BodyModel
) -> Iterator[tuple[str, Motion]]:
    """Names of the prompts and the training clips whose captions are most alike, whole, at 20 fps."""
    sentences = torch.cat([encoder.encode([one.text]).sentence for one in wanted])
    nearest, owners = nearest_captions(shards, sentences)
    for one, clip in zip(wanted, owners[nearest].tolist(), strict=True):
        yield str(one.number), motion_of(shards.of_clip(clip), body)


def written(folder: Path, motions: Iterable[tuple[str, Motion]]) -> Path:
    """A new folder with a motion.npz of each."""
    folder.mkdir()
    for stem, motion in motions:
        write_motion(folder / f"{stem}.npz", motion)
    return folder


def real_rows(
    folder: Path, shards: Shards, mesh: MoreMetrics, *, body: BodyModel, quick: bool
) -> list[Row]:
    """Rows of the captioned test clips, which are written to `folder`: metrics that need no prompt."""
    whole = EvaluatorPairs.of(shards, split="test").clips
    clips = _some(whole, mesh=False, quick=quick)
    written(folder, ((str(i), motion_of(shards.of_clip(i), body)) for i in clips))
    files = [folder / f"{i}.npz" for i in _some(clips, mesh=True, quick=quick)]
    (joints,) = score([folder]).systems
    (posed,) = score(files, more=[mesh]).systems
    parts = (joints, JOINTS), (posed, MESH_METRICS)
    of = f"{len(whole)} clips"
    return [_row(REAL, m, system, of=of) for system, metrics in parts for m in metrics]


def system_rows(
    system: SystemScores, wanted: Sequence[Asked], real: Mapping[str, float | None]
) -> list[Row]:
    """A row for each metric of a system, beside real motion's."""
    total = {one.group: one.total for one in wanted}
    return [
        _row(system.name, m, system, of=f"{total[group]} prompts of {group}", real=real.get(m))
        for group, metrics in GROUPS
        for m in metrics
        if group in total
    ]


def _row(
    name: str, metric: str, system: SystemScores, *, of: str, real: float | None = None
) -> Row:
    found, lacking = aggregate(system, metric), system.without(metric)
    what = f"{_TOLD[name]}, {found.num_samples} of {of}: {metric}"
    what += f", chance {CHANCE[metric]:g}" if metric in CHANCE else ""
    if found.low is not None:
        what += f", {found.low:.4g} to {found.high:.4g} (95 %)"
    if lacking:
        what += f"; {len(lacking)} have no value: {next(iter(lacking.values()))}"
    if system.failed:
        what += f"; {len(system.failed)} clips are not scored: {system.failed[0].error}"
    peer = None if real is None else Baseline(REAL, real)
    return Row(f"system/{name}/{metric}", what, found.mean, "", baseline=peer)


def _not_run(name: str) -> Row:
    what = "shards" if name in (REAL, NEAREST) else "weights"
    return Row(f"system/{name}", f"{_TOLD[name]}: no {what} at hand", None, "")


def _some(numbers: Sequence[int], *, mesh: bool, quick: bool) -> list[int]:
    """Those that are looked at: all but for the mesh, few in the quick run, spread evenly."""
    if quick:
        few = QUICK_MESH if mesh else QUICK
        return list(numbers[:: max(len(numbers) // few, 1)][:few])
    return list(numbers[::MESH_EVERY] if mesh else numbers)


def _seconds(path: Path) -> dict[int, float]:
    """Length of each prompt that says one, by its `global_id`."""
    found = {row.get("global_id"): row.get("motion_duration") for row in read_json(path)}
    return {
        number: float(length)
        for number, length in found.items()
        if isinstance(number, int) and type(length) in (int, float) and 0 < length < math.inf
    }
