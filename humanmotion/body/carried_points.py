"""Points that a posed body carries, and their exact derivatives with respect to joint rotations.

A point is a joint or a landmark, which is a virtual skin vertex (see `BodyModel.landmark_skin`): the
weighted mean of the places that its few joints would carry it to. Turning joint k by a small world
rotation w moves it by `w x S`, where S sums, over the joints below k, weight times (place - position
of k). That sum is one matrix product, so no automatic differentiation is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.body import BodyModel


@dataclass(frozen=True)
class CarriedPoints:
    """The points to be followed and the joints that may turn; fixed for one body and shape."""

    body: BodyModel
    joints: tuple[int, ...]
    """The K free joints, among the 55."""
    betas: Tensor
    """Shape `(10)`."""
    rest: Tensor
    """Rest joints `(55, 3)`."""
    pair_joint: Tensor
    """Joint of each of the P (point, joint) pairs with weight, `(P)`."""
    pair_offset: Tensor
    """Point minus joint in rest, `(P, 3)`."""
    gather: Tensor
    """`(L, P)`: weight of each pair in its point."""
    below: Tensor
    """`(L * K, P)`: the same weight where the pair's joint hangs below free joint k, else 0."""
    mass: Tensor
    """`(L, K)`: row sums of `below`."""


def landmark_points(
    body: BodyModel, landmark_set: str, *, joints: tuple[int, ...], betas: Tensor
) -> CarriedPoints:
    """Landmarks of one named set, for `betas` `(10)` and the free joints."""
    skin = body.landmark_skin(landmark_set)
    weights = torch.where(skin.weights > 1e-4, skin.weights, torch.zeros(()))
    return carried_points(
        body, skin.template + skin.shapedirs @ betas, weights=weights, joints=joints, betas=betas
    )


def joint_points(
    body: BodyModel, which: tuple[int, ...], *, joints: tuple[int, ...], betas: Tensor
) -> CarriedPoints:
    """The joints `which` themselves as points, for `betas` `(10)` and the free joints."""
    weights = torch.eye(len(body.parents))[list(which)]
    rest = body.rest_joints(betas)[list(which)]
    return carried_points(body, rest, weights=weights, joints=joints, betas=betas)


def carried_points(
    body: BodyModel, rest_points: Tensor, *, weights: Tensor, joints: tuple[int, ...], betas: Tensor
) -> CarriedPoints:
    """Any points `(L, 3)` of the rest pose that move with the joints by `weights` `(L, 55)`."""
    rest = body.rest_joints(betas)
    which, joint = weights.nonzero(as_tuple=True)
    weight = weights[which, joint]
    gather = torch.zeros(len(rest_points), len(which)).index_put(
        (which, torch.arange(len(which))), weight
    )
    gather = gather / gather.sum(-1, keepdim=True)
    under = _ancestry(body.parents)[joint][:, list(joints)]
    below = gather[:, None, :] * under.T[None].to(gather.dtype)
    return CarriedPoints(
        body=body,
        joints=joints,
        betas=betas,
        rest=rest,
        pair_joint=joint,
        pair_offset=rest_points[which] - rest[joint],
        gather=gather,
        below=below.reshape(-1, len(which)),
        mass=below.sum(-1),
    )


def mixed(points: CarriedPoints, rows: Tensor) -> CarriedPoints:
    """Linear combinations `rows` `(L', L)` of carried points.

    A row that sums to 1 is a point between points; one that sums to 0 a direction, which the
    pelvis does not move.
    """
    below = points.below.unflatten(0, (-1, len(points.joints)))
    return replace(
        points,
        gather=rows @ points.gather,
        below=torch.einsum("nl,lkp->nkp", rows, below).flatten(0, 1),
        mass=rows @ points.mass,
    )


def joined(first: CarriedPoints, second: CarriedPoints) -> CarriedPoints:
    """The points of both, which share body, shape and free joints, one after the other."""
    return replace(
        first,
        pair_joint=torch.cat((first.pair_joint, second.pair_joint)),
        pair_offset=torch.cat((first.pair_offset, second.pair_offset)),
        gather=torch.block_diag(first.gather, second.gather),
        below=torch.block_diag(first.below, second.below),
        mass=torch.cat((first.mass, second.mass)),
    )


def joint_axes(
    body: BodyModel, which: tuple[int, ...], *, joints: tuple[int, ...], betas: Tensor
) -> CarriedPoints:
    """The three axes of each joint of `which` as directions `(3 * M)`: columns of its rotation."""
    rest = body.rest_joints(betas)[list(which)]
    tips = rest[:, None] + torch.cat((torch.zeros(1, 3), torch.eye(3)))
    weights = torch.eye(len(body.parents))[list(which)].repeat_interleave(4, 0)
    ends = carried_points(body, tips.flatten(0, 1), weights=weights, joints=joints, betas=betas)
    one = torch.cat((torch.full((3, 1), -1.0), torch.eye(3)), 1)
    return mixed(ends, torch.block_diag(*[one] * len(which)))


def _ancestry(parents: tuple[int, ...]) -> Tensor:
    """`(55, 55)` bool: row j is true at j and at each of its ancestors."""
    table = torch.eye(len(parents), dtype=torch.bool)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            table[joint] |= table[parent]
    return table


def positions(marks: CarriedPoints, rotations: Tensor, pelvis: Tensor) -> Tensor:
    """Points `(T, L, 3)` for local `rotations` `(T, 55, 3, 3)` and pelvis places `(T, 3)`."""
    places, _, _ = _places(marks, rotations, pelvis)
    return _mixed(marks.gather, places)


def positions_and_jacobian(
    marks: CarriedPoints, rotations: Tensor, pelvis: Tensor
) -> tuple[Tensor, Tensor]:
    """Points `(T, L, 3)` and their derivative `(T, L, 3, K, 3)`.

    The derivative is by a small rotation of each free joint, given in its parent's axes (the
    camera's for the root), applied before the joint's present local rotation.
    """
    places, centres, turned = _places(marks, rotations, pelvis)
    frames, count = len(pelvis), len(marks.joints)
    lever = _mixed(marks.below, places).reshape(frames, -1, count, 3)
    lever = lever - marks.mass[..., None] * centres[:, None, list(marks.joints)]
    parents = [marks.body.parents[j] for j in marks.joints]
    axes = torch.stack(
        [turned[:, p] if p >= 0 else torch.eye(3).expand(frames, 3, 3) for p in parents], 1
    )
    # Column c of the derivative is (axis c of the parent) x lever.
    return _mixed(marks.gather, places), _crossed(axes[:, None], lever)


def _mixed(weights: Tensor, places: Tensor) -> Tensor:
    """Weighted sums `(T, N, 3)` of `places` `(T, P, 3)` with `weights` `(N, P)`.

    One large product: a batch of products with three columns each takes twenty times as long.
    """
    flat = weights @ places.transpose(0, 1).flatten(1)
    return flat.unflatten(-1, (-1, 3)).transpose(0, 1)


def _crossed(axes: Tensor, lever: Tensor) -> Tensor:
    """Cross products of the columns of `axes` `(..., 3, 3)` with `lever` `(..., 3)`, as columns."""
    ax, ay, az = axes.unbind(-2)
    x, y, z = lever[..., None].unbind(-2)
    rows = (ay * z - az * y, az * x - ax * z, ax * y - ay * x)  # (T, L, K, 3)
    return torch.stack(rows, 2)


def shape_derivative(
    marks: CarriedPoints, landmark_set: str, *, rotations: Tensor, pelvis: Tensor
) -> Tensor:
    """Derivative `(T, L, 3, 10)` of the landmarks by betas, the pelvis joint held in place.

    Points are linear in betas for a fixed pose, so unit differences are exact.
    """
    base = positions(marks, rotations, pelvis)
    columns = []
    for unit in torch.eye(len(marks.betas)):
        other = landmark_points(
            marks.body, landmark_set, joints=marks.joints, betas=marks.betas + unit
        )
        columns.append(positions(other, rotations, pelvis) - base)
    return torch.stack(columns, -1)


def _places(
    marks: CarriedPoints, rotations: Tensor, pelvis: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Pair places `(T, P, 3)`, joint positions `(T, 55, 3)` and rotations `(T, 55, 3, 3)`."""
    centres, turned = marks.body.frames(rotations, betas=marks.betas, transl=pelvis - marks.rest[0])
    swung = (turned[:, marks.pair_joint] @ marks.pair_offset[..., None])[..., 0]
    return centres[:, marks.pair_joint] + swung, centres, turned
