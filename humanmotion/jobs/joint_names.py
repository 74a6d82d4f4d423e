"""Names of joints and markers in other people's files, and the points of the body that they mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from humanmotion.body import BodyModel
from humanmotion.body.named_points import NamedPoint, set_points, vertex_point
from humanmotion.errors import UsageError
from humanmotion.joint_sets import JOINT_SETS

LEAST_POINTS = 3
_SHOWN = 6
"""Names at most in a message."""
_SIDES = {"l": "left", "r": "right"}
_ALIASES = {"midhip": "mid_hip", "root": "pelvis", "hips": "pelvis"}


@dataclass(frozen=True)
class Recognised:
    """Which columns of a file are points of the body."""

    columns: tuple[int, ...]
    points: tuple[NamedPoint, ...]
    joint_set: str
    """What the names mean; names that it lacks are taken from the other sets."""
    unknown: tuple[str, ...]


def plain_name(name: str) -> str:
    """`LeftHip`, `L-Hip`, `l_hip` and `LHip` as `left_hip`."""
    name = re.sub(r"^([LR])(?=[A-Z][a-z])", r"\1_", name.strip())
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    name = re.sub(r"[\s.\-_]+", "_", name).lower().strip("_")
    first, _, rest = name.partition("_")
    name = f"{_SIDES[first]}_{rest}" if first in _SIDES and rest else name
    return _ALIASES.get(name, name)


def recognise(
    names: Sequence[str], body: BodyModel, *, source: object, joint_set: str | None = None
) -> Recognised:
    """The points that `names` mean on `body`, by `joint_set` or by the set that knows most of them.

    Raises UsageError for a set that is not known and for fewer than three names that are.
    """
    if joint_set is not None and joint_set not in JOINT_SETS:
        raise UsageError(
            f"joint set {joint_set!r} is not known; accepted are {', '.join(JOINT_SETS)}"
        )
    plain = [plain_name(name) for name in names]
    sets = {name: set_points(body, name) for name in JOINT_SETS}
    # Among equals the first: SMPL-X's own joints.
    chosen = joint_set or max(sets, key=lambda s: sum(n in sets[s] for n in plain))
    order = [sets.pop(chosen), *sets.values()]
    found = [_point(name, order, body) for name in plain]
    columns = _first_of_each(found)
    unknown = tuple(n for n, point in zip(names, found, strict=True) if point is None)
    points = tuple(point for i in columns if (point := found[i]) is not None)
    if len(columns) < LEAST_POINTS:
        known = _listed([p.name for p in points]) or "none"
        raise UsageError(
            f"{source} names {len(columns)} points of a body ({known}) and {len(unknown)} that are "
            f"not known ({_listed(unknown) or 'none'}); give at least {LEAST_POINTS} by the names of "
            f"{', '.join(JOINT_SETS)}, or skin points as vertex_1234"
        )
    return Recognised(columns, points, chosen, unknown)


def recognised_notes(found: Recognised) -> list[str]:
    """What was understood, in words for the user."""
    notes = [f"joints are read as {found.joint_set} ({len(found.points)} points)"]
    if found.unknown:
        notes.append(f"left out, as nobody knows them: {_listed(found.unknown)}")
    return notes


def _point(name: str, sets: list[dict[str, NamedPoint]], body: BodyModel) -> NamedPoint | None:
    for known in sets:
        if name in known:
            return known[name]
    return vertex_point(body, name)


def _first_of_each(found: Sequence[NamedPoint | None]) -> tuple[int, ...]:
    """Columns of the points that are there, each point once."""
    first: dict[NamedPoint, int] = {}
    for column, point in enumerate(found):
        if point is not None:
            first.setdefault(point, column)
    return tuple(first.values())


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(name[:40] for name in names[:_SHOWN]) + more
