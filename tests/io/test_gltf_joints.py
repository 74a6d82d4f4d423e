"""Stick figures: walked through the file's own nodes, the joints are where they were."""

from __future__ import annotations

import numpy as np
import pygltflib as gl
import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.io.axes import turn_up
from humanmotion.io.gltf_joints import Figure, figures_glb
from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS


def _figure(name, frames, seed):
    g = torch.Generator().manual_seed(seed)
    joints = torch.randn(frames, 22, 3, generator=g).double()
    return Figure(name, torch.arange(frames).double() / 20, joints)


def _numbers(document, index):
    accessor = document.accessors[index]
    view = document.bufferViews[accessor.bufferView]
    size = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor.type]
    kind = {gl.FLOAT: np.float32, gl.UNSIGNED_SHORT: np.uint16, gl.UNSIGNED_BYTE: np.uint8}
    data = document.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    return np.frombuffer(data, kind[accessor.componentType]).reshape(accessor.count, size)


def test_joints_move_as_they_did_and_bones_span_them():
    figures = [_figure("a", 7, 0), _figure("b", 4, 1)]
    document = gl.GLTF2.load_from_bytes(figures_glb(figures))
    (animation,) = document.animations
    shifts = {
        channel.target.node: _numbers(document, animation.samplers[channel.sampler].output)
        for channel in animation.channels
    }
    for figure, skin in zip(figures, document.skins, strict=True):
        expected = turn_up(figure.joints, "y").numpy()
        places = []
        for joint, node in enumerate(skin.joints):
            assert document.nodes[node].name == f"{figure.name}:{SMPLX_JOINTS[joint]}"
            above = places[SMPLX_PARENTS[joint]] if joint else 0
            places.append(above + shifts[node])
        assert np.abs(np.stack(places, 1) - expected).max() < 1e-5
    mesh = document.meshes[0].primitives[0]
    vertices = _numbers(document, mesh.attributes.POSITION)
    owners = _numbers(document, mesh.attributes.JOINTS_0)[:, 0]
    first = turn_up(figures[0].joints[0], "y").numpy()
    assert np.abs(np.linalg.norm(vertices - first[owners], axis=-1) - 0.02).max() < 1e-5
    assert set(owners) == set(range(22))
    binds = _numbers(document, document.skins[0].inverseBindMatrices)
    assert np.abs(binds[:, 12:15] + first).max() < 1e-5


def test_what_cannot_be_drawn_is_refused():
    one = _figure("a", 3, 0)
    for figures in ([], [one, one], [_figure("a", 0, 0)]):
        with pytest.raises(UsageError, match="figures given"):
            figures_glb(figures)
