"""Points of the body by the names that files give them: joints, landmarks of joint sets, vertices.

A name means what its joint set means by it: `left_hip` is a joint of the skeleton in SMPL-X and a place
that detectors point at in COCO. A point is a mean of a few places that the body carries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import CarriedPoints, carried_points, mixed
from humanmotion.joint_sets import JOINT_SETS, SMPLX_JOINTS

Source = tuple[str, int]
"""A landmark set of the body, or `joint` or `vertex`, and the place within it."""
_MEANS = {
    "neck": ("left_shoulder", "right_shoulder"),
    "mid_hip": ("left_hip", "right_hip"),
}
"""Points of OpenPose that are means of two others."""
_LEAST_WEIGHT = 1e-4
_VERTEX = re.compile(r"vertex_(\d{1,7})")


@dataclass(frozen=True)
class NamedPoint:
    """A point of the body and the name it was asked for by."""

    name: str
    sources: tuple[Source, ...]
    """Places whose mean it is."""


def set_points(body: BodyModel, joint_set: str) -> dict[str, NamedPoint]:
    """The points of one of JOINT_SETS that this body has, by name, in the set's order."""
    found = {name: _sources(body, joint_set, name) for name in JOINT_SETS[joint_set]}
    return {name: NamedPoint(name, sources) for name, sources in found.items() if sources}


def vertex_point(body: BodyModel, name: str) -> NamedPoint | None:
    """The point that `vertex_1234` names, if it is one of the body's."""
    match = _VERTEX.fullmatch(name)
    if match is None or int(match[1]) >= len(body.template):
        return None
    return NamedPoint(name, (("vertex", int(match[1])),))


def named_points(
    body: BodyModel, which: Sequence[NamedPoint], *, joints: tuple[int, ...], betas: Tensor
) -> CarriedPoints:
    """These points, for `betas` `(10)` and the free joints."""
    sources = [source for point in which for source in point.sources]
    template, shapes, weights = (
        torch.stack(rows) for rows in zip(*(_place(body, s) for s in sources), strict=True)
    )
    rest = template + shapes @ betas
    points = carried_points(body, rest, weights=weights, joints=joints, betas=betas)
    if len(sources) == len(which):
        return points
    means = [torch.full((1, len(p.sources)), 1 / len(p.sources)) for p in which]
    return mixed(points, torch.block_diag(*means))


def rest_places(body: BodyModel, which: Sequence[NamedPoint]) -> tuple[Tensor, Tensor]:
    """Points `(L, 3)` of the rest pose and their derivative by betas `(L, 3, 10)`."""
    places, shapes = [], []
    for point in which:
        template, slope, _ = zip(*(_place(body, s) for s in point.sources), strict=True)
        places.append(torch.stack(template).mean(0))
        shapes.append(torch.stack(slope).mean(0))
    return torch.stack(places), torch.stack(shapes)


def _place(body: BodyModel, source: Source) -> tuple[Tensor, Tensor, Tensor]:
    """Rest place `(3)`, its slope by betas `(3, 10)` and its skin weights `(55)`."""
    kind, row = source
    if kind == "joint":
        slope = body.joint_blendshapes[:10].reshape(10, -1, 3)[:, row].T
        return body.joint_template[row], slope, torch.eye(len(body.parents))[row]
    if kind == "vertex":
        place, slope, weights = body.template[row], body.shapedirs[row], body.weights[row]
    else:
        skin = body.landmark_skin(kind)
        place, slope, weights = skin.template[row], skin.shapedirs[row], skin.weights[row]
    return place, slope, torch.where(weights > _LEAST_WEIGHT, weights, torch.zeros(()))


def _sources(body: BodyModel, joint_set: str, name: str) -> tuple[Source, ...]:
    if joint_set == "smplx_55":
        index = SMPLX_JOINTS.index(name)
        return (("joint", index),) if bool(body.joints_present[index]) else ()
    if name in _MEANS:
        return tuple(s for part in _MEANS[name] for s in _sources(body, joint_set, part))
    side, _, rest = name.partition("_hand_")
    tables = {
        "mediapipe_33": (JOINT_SETS["mediapipe_33"], name),
        "coco_17": (JOINT_SETS["coco_17"], name),
        f"hand21_{side}": (_HAND, rest),
    }
    order = ("mediapipe_33", "coco_17") if joint_set.startswith("mediapipe") else (
        "coco_17", "mediapipe_33")  # fmt: skip
    for table in (*order, f"hand21_{side}"):
        names, wanted = tables[table]
        if wanted in names and table in body.landmark_sets:
            return ((table, names.index(wanted)),)
    return ()


_HAND = tuple(n.removeprefix("left_hand_") for n in JOINT_SETS["coco_wholebody_133"]
              if n.startswith("left_hand_"))  # fmt: skip
