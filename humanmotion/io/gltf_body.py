"""What glTF needs of a body at one shape, and how far that is from the body itself.

glTF skins have four influences a vertex, one rest pose whatever the expression, and no pose
correctives.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.motion import JOINTS, Motion

INFLUENCES = 4
RESIDUAL_FRAMES = 5
_SMALLEST_MORPH = 1e-6
"""Metres: expression directions that move nothing farther are left out."""


@dataclass(frozen=True)
class SkinnedBody:
    """A body at one shape as glTF holds it, in the body's own axes (y up, facing +z), metres."""

    vertices: Tensor
    """`(V, 3)` at rest."""
    normals: Tensor
    """`(V, 3)` unit."""
    joints: Tensor
    """`(55, 3)` at rest."""
    influences: Tensor
    """`(V, 4)` joint numbers, heaviest first."""
    weights: Tensor
    """`(V, 4)`, summing to 1."""
    morphs: Tensor
    """Expression directions in use, `(E, V, 3)`."""
    morph_weights: Tensor
    """`(T, E)`."""


def skinned_body(motion: Motion, body: BodyModel) -> SkinnedBody:
    """The body of a motion, reduced to what a glTF skin can hold."""
    rest = torch.eye(3).expand(1, JOINTS, 3, 3)
    vertices = body.vertices(rest, betas=motion.betas)[0].detach()
    heaviest, influences = body.weights.topk(INFLUENCES, dim=-1)
    # glTF asks for joint 0 where a weight is 0.
    influences = torch.where(heaviest > 0, influences, torch.zeros_like(influences))
    used, morphs = _morphs(motion, body, vertices)
    return SkinnedBody(
        vertices=vertices,
        normals=vertex_normals(vertices, body.faces),
        joints=body.rest_joints(motion.betas).detach(),
        influences=influences,
        weights=heaviest / heaviest.sum(-1, keepdim=True),
        morphs=morphs,
        morph_weights=motion.expression[:, used],
    )


def skinning_residual(motion: Motion, body: BodyModel) -> float:
    """Largest vertex error in metres of the glTF skin against the body, at five frames."""
    if not len(motion):
        return 0.0
    frames = torch.linspace(0, len(motion) - 1, RESIDUAL_FRAMES).round().long().unique()
    some = motion[frames]
    skin = skinned_body(motion, body)
    rotations = some.rotations
    positions, world = body.frames(
        rotations, betas=motion.betas, expression=some.expression, transl=some.transl
    )
    shaped = skin.vertices + torch.einsum("te,evc->tvc", skin.morph_weights[frames], skin.morphs)
    local = shaped[:, :, None] - skin.joints[skin.influences]
    turned = torch.einsum("tvkij,tvkj->tvki", world[:, skin.influences], local)
    placed = turned + positions[:, skin.influences]
    ours = (placed * skin.weights[..., None]).sum(-2)
    truth = body.vertices(
        rotations, betas=motion.betas, expression=some.expression, transl=some.transl
    )
    return float((ours - truth).norm(dim=-1).max())


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Area-weighted unit normals `(V, 3)` of a mesh; up for vertices without a face."""
    corners = vertices[faces]
    flat = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = torch.zeros_like(vertices)
    for corner in range(3):
        total.index_add_(0, faces[:, corner], flat)
    length = total.norm(dim=-1, keepdim=True)
    up = torch.tensor((0.0, 1.0, 0.0)).expand_as(total)
    return torch.where(length > 1e-12, total / length.clamp(min=1e-12), up)


def _morphs(motion: Motion, body: BodyModel, vertices: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the expression directions in use, and how each moves the vertices."""
    size = motion.expression.shape[1]
    used = motion.expression.abs().amax(0) > 0 if len(motion) else torch.zeros(size).bool()
    index = used.nonzero()[:, 0]
    if not len(index):
        return index, vertices.new_zeros(0, *vertices.shape)
    rest = torch.eye(3).expand(len(index), JOINTS, 3, 3)
    one = torch.nn.functional.one_hot(index, size).to(vertices.dtype)
    betas = motion.betas.expand(len(index), -1)
    moved = body.vertices(rest, betas=betas, expression=one).detach() - vertices
    moves = moved.norm(dim=-1).amax(-1) > _SMALLEST_MORPH
    return index[moves], moved[moves]
