"""Stick figures as GLB: joints that move, without a body, rotations or skin; y up, metres, glTF 2.0.

Every joint is a node under its parent that is only ever shifted. A bone is three flat bands between two
joints, one in each plane, so that some of it is seen from everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pygltflib as gl
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.io.axes import turn_up
from humanmotion.io.gltf_buffer import INDICES, VERTICES, GlbBuffer
from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
HALF_WIDTH = 0.02
"""Metres."""
_COLOURS = (
    (0.28, 0.46, 0.72), (0.76, 0.40, 0.22), (0.40, 0.62, 0.36), (0.56, 0.38, 0.68),
    (0.74, 0.60, 0.26), (0.32, 0.62, 0.62),
)  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One clip to draw."""

    name: str
    times: Tensor
    """Seconds `(T)`, rising from 0."""
    joints: Tensor
    """The first J joints of SMPL-X `(T, J, 3)`, metres, z up, finite."""


def figures_glb(figures: Sequence[Figure]) -> bytes:
    """The figures, each with a skeleton, a mesh and its animation, as the bytes of a GLB.

    Raises UsageError without figures, for two of one name, and for a figure without frames.
    """
    names = [figure.name for figure in figures]
    if not figures or len(set(names)) < len(names) or not all(len(f.times) for f in figures):
        raise UsageError(
            f"{len(figures)} figures given; give one or more, of different names, with frames"
        )
    document = gl.GLTF2(asset=gl.Asset(version="2.0", generator="humanmotion"))
    document.scenes, document.scene = [gl.Scene(nodes=[])], 0
    buffer = GlbBuffer(document)
    animation = gl.Animation(name="motion", channels=[], samplers=[])
    for number, figure in enumerate(figures):
        nodes = _skeleton(document, figure)
        _skin(document, buffer, figure, nodes=nodes, colour=_COLOURS[number % len(_COLOURS)])
        _animate(animation, buffer, figure, nodes=nodes)
    document.animations = [animation]
    return buffer.finish()


def _shifts(figure: Figure) -> Tensor:
    """Place of the root, and of every other joint against its parent's, `(T, J, 3)`, y up."""
    places = turn_up(figure.joints.double(), "y")
    parents = list(SMPLX_PARENTS[1 : places.shape[1]])
    return torch.cat((places[:, :1], places[:, 1:] - places[:, parents]), 1)


def _skeleton(document: gl.GLTF2, figure: Figure) -> list[int]:
    first = len(document.nodes)
    for joint, shift in enumerate(_shifts(figure)[0].tolist()):
        name = f"{figure.name}:{SMPLX_JOINTS[joint]}"
        document.nodes.append(gl.Node(name=name, translation=shift))
        if joint:
            document.nodes[first + SMPLX_PARENTS[joint]].children.append(first + joint)
    document.scenes[0].nodes.append(first)
    return list(range(first, len(document.nodes)))


def _skin(
    document: gl.GLTF2, buffer: GlbBuffer, figure: Figure, *, nodes: list[int],
    colour: tuple[float, float, float],
) -> None:  # fmt: skip
    places = turn_up(figure.joints[0].double(), "y").numpy()
    vertices, owners, corners = _bands(places)
    weights = np.zeros((len(vertices), 4), np.float32)
    weights[:, 0] = 1
    influences = np.zeros((len(vertices), 4), np.uint8)
    influences[:, 0] = owners
    binds = np.tile(np.eye(4, dtype=np.float32), (len(places), 1, 1))
    binds[:, 3, :3] = -places
    normals = vertices - places[owners]
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    add = buffer.add
    attributes = gl.Attributes(
        POSITION=add(vertices.astype(np.float32), target=VERTICES, bounds=True),
        NORMAL=add(normals.astype(np.float32), target=VERTICES),
        JOINTS_0=add(influences, target=VERTICES),
        WEIGHTS_0=add(weights, target=VERTICES),
    )
    paint = gl.PbrMetallicRoughness(
        baseColorFactor=[*colour, 1.0], metallicFactor=0.0, roughnessFactor=0.7
    )
    document.materials.append(
        gl.Material(name=figure.name, pbrMetallicRoughness=paint, doubleSided=True)
    )
    primitive = gl.Primitive(
        attributes=attributes,
        indices=add(corners.reshape(-1).astype(np.uint16), target=INDICES),
        material=len(document.materials) - 1,
    )
    document.meshes.append(gl.Mesh(name=figure.name, primitives=[primitive]))
    document.skins.append(
        gl.Skin(name=figure.name, joints=nodes, skeleton=nodes[0],
                inverseBindMatrices=add(binds.reshape(-1, 16)))
    )  # fmt: skip
    mesh, skin = len(document.meshes) - 1, len(document.skins) - 1
    document.nodes.append(gl.Node(name=figure.name, mesh=mesh, skin=skin))
    document.scenes[0].nodes.append(len(document.nodes) - 1)


def _bands(places: Floats) -> tuple[Floats, Ints, Ints]:
    """Vertices `(V, 3)`, the joint each belongs to `(V)`, and triangles `(F, 3)`."""
    vertices: list[Floats] = []
    owners: list[int] = []
    corners: list[tuple[int, int, int]] = []
    for joint in range(1, len(places)):
        for axis in range(3):
            aside = HALF_WIDTH * np.eye(3)[axis]
            at = len(vertices)
            for end in (SMPLX_PARENTS[joint], joint):
                vertices += [places[end] - aside, places[end] + aside]
                owners += [end, end]
            corners += [(at, at + 1, at + 2), (at + 2, at + 1, at + 3)]
    return np.array(vertices), np.array(owners), np.array(corners)


def _animate(
    animation: gl.Animation, buffer: GlbBuffer, figure: Figure, *, nodes: list[int]
) -> None:
    clock = buffer.add(figure.times.numpy().astype(np.float32), bounds=True)
    shifts = _shifts(figure).numpy().astype(np.float32)
    for joint, node in enumerate(nodes):
        values = buffer.add(np.ascontiguousarray(shifts[:, joint]))
        animation.samplers.append(
            gl.AnimationSampler(input=clock, output=values, interpolation="LINEAR")
        )
        target = gl.AnimationChannelTarget(node=node, path="translation")
        sampler = len(animation.samplers) - 1
        animation.channels.append(gl.AnimationChannel(sampler=sampler, target=target))
