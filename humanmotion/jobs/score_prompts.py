"""The benchmark's own prompt files, and which clips of a system they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from humanmotion.errors import FileFormatError
from humanmotion.files import read_json
from humanmotion.jobs.score_systems import System
from humanmotion.metrics.mbench_joints import JOINT_METRICS

QUALITY = "Motion_Quality"
"""The group whose clips the joint metrics are of."""
POSE = "Pose_Quality"
"""The group whose clips body penetration and the quality of poses are of."""
CONSISTENCY, GENERAL = "Motion_Condition_Consistency", "Motion_Generalizability"
WORDS = (CONSISTENCY, GENERAL)
"""The groups whose clips are asked about in words: which of ten labels, and whether its label."""
_GROUP_OF = dict.fromkeys(JOINT_METRICS, QUALITY) | {"Body_Penetration": POSE}
"""The evaluation's own list names metrics in the place of groups."""


@dataclass(frozen=True)
class Prompt:
    """What is asked of one clip."""

    text: str
    """The short prompt, or the clip's label."""
    group: str
    wrong: tuple[str, ...] = ()
    """Labels beside the right one, of the 10-way task."""


@dataclass(frozen=True)
class Prompts:
    """What a prompt file asks for."""

    path: Path
    by_id: dict[int, Prompt]

    def of(self, stem: str) -> Prompt | None:
        """The prompt of a clip by its file's stem, as 7, 07 or 007."""
        number = _id_of(stem)
        return None if number is None else self.by_id.get(number)

    def ids(self, groups: Sequence[str]) -> list[int]:
        """Ids of the prompts of these groups, in their order."""
        return [number for number, prompt in self.by_id.items() if prompt.group in groups]


def read_prompts(path: Path) -> Prompts:
    """The prompts of `mbench_prompts.json` or of the evaluation's own list of entries.

    Raises FileFormatError for another JSON, an id that is none, or no prompt of motion quality.
    """
    rows = read_json(path)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise FileFormatError(f"{path} is no list of prompts; give the benchmark's own prompt file")
    found: dict[int, Prompt] = {}
    for number, row in enumerate(rows):
        place, prompt = _read(row, where=f"{path} entry {number}")
        found.setdefault(place, prompt)
    if not any(prompt.group == QUALITY for prompt in found.values()):
        raise FileFormatError(f"{path} has no prompt of {QUALITY}, which joint metrics are of")
    return Prompts(Path(path), dict(sorted(found.items())))


def asked_for(
    system: System, prompts: Prompts, *, groups: Sequence[str]
) -> tuple[System, tuple[str, ...], tuple[str, ...]]:
    """The system's clips that these groups ask for, the ids it lacks, and the stems not asked for."""
    wanted = dict.fromkeys(prompts.ids(groups))
    found: dict[int, Path] = {}
    extra: list[str] = []
    for path in system.files:
        place = _id_of(path.stem)
        if place is not None and place in wanted:
            found.setdefault(place, path)
        else:
            extra.append(path.stem)
    missing = tuple(str(place) for place in wanted if place not in found)
    return System(system.name, tuple(found[i] for i in sorted(found))), missing, tuple(extra)


def id_list(ids: Sequence[str]) -> str:
    """Ids as a short list, runs of numbers drawn together: `3, 7-12, 40`."""
    numbers = sorted(int(i) for i in ids if i.isdigit())
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    words = [str(a) if a == b else f"{a}-{b}" for a, b in runs]
    return ", ".join((*words, *(i for i in ids if not i.isdigit())))


def _read(row: dict[str, Any], *, where: str) -> tuple[int, Prompt]:
    place = row.get("global_id", row.get("id"))
    if not isinstance(place, int) or isinstance(place, bool) or place < 0:
        raise FileFormatError(f"{where}: id {str(place)[:20]!r} is no whole number of 0 or more")
    group = row.get("dimension")
    if not isinstance(group, str):
        raise FileFormatError(f"{where} names no dimension")
    wrong = row.get("auxiliary_info") or []
    if not isinstance(wrong, list) or not all(isinstance(label, str) for label in wrong):
        raise FileFormatError(f"{where}: auxiliary_info is no list of labels")
    return place, Prompt(str(row.get("prompt", "")), _GROUP_OF.get(group, group), tuple(wrong))


def _id_of(stem: str) -> int | None:
    return int(stem) if stem.isascii() and stem.isdigit() and len(stem) < 10 else None
