"""Skinned, animated GLB: people with skeleton, skin and animation, and the camera as a node.

glTF is y-up and in metres; the root node of each skeleton carries the turn (io/axes.py), so the
mesh rests in a T-pose facing +z. One animation holds everything; time starts at the earliest frame.
Source: Khronos glTF 2.0 specification, sections 3.7.3 (skins), 3.10 (cameras), 3.11 (animations).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gl
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.camera import Camera
from humanmotion.errors import BodyError, UsageError
from humanmotion.files import atomic_path
from humanmotion.io.axes import turn_up
from humanmotion.io.gltf_body import SkinnedBody, skinned_body, skinning_residual
from humanmotion.io.gltf_buffer import INDICES, VERTICES, GlbBuffer
from humanmotion.io.onto_body import pelvis_path
from humanmotion.io.sampling import require_frames
from humanmotion.motion import Motion

People = Sequence[tuple[Motion, BodyModel]]
_COLOURS = (
    (0.28, 0.46, 0.72), (0.76, 0.40, 0.22), (0.40, 0.62, 0.36), (0.56, 0.38, 0.68),
    (0.74, 0.60, 0.26), (0.32, 0.62, 0.62),
)  # fmt: skip
"""Plain, as of a mannequin: the body wears nothing, and skin would look it."""
_NEAR_METRES, _FAR_METRES = 0.05, 1000.0
_CUT_SECONDS = 1e-3
_STILL = 1e-7
_SHIFTED_METRES = 1e-5


def write_glb(
    path: str | Path, motions: People, *, camera: Camera | None = None,
    names: Sequence[str] | None = None,
) -> tuple[float, ...]:  # fmt: skip
    """Write people (and a camera) as one GLB, atomically.

    Returns for each person how far, in metres at worst over five frames, the skinned vertices are
    from the body's own: rounding for the default body; for bodies with pose correctives or more
    than four influences a vertex, what glTF cannot hold. Raises as `glb_bytes`, and OutputError.
    """
    data = glb_bytes(motions, camera=camera, names=names)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return tuple(skinning_residual(motion, body) for motion, body in motions)


def glb_bytes(
    motions: People, *, camera: Camera | None = None, names: Sequence[str] | None = None
) -> bytes:
    """The same as bytes.

    A camera has one frame, or one for each frame of the first motion; its principal point is taken
    as the centre and its median focal length as the one, which is all glTF knows.
    Raises UsageError: no motion, one without frames, or counts that do not agree; BodyError for a
    body without faces.
    """
    names = _checked_names(motions, camera, names)
    document = gl.GLTF2(asset=gl.Asset(version="2.0", generator="humanmotion"))
    document.scenes, document.scene = [gl.Scene(nodes=[])], 0
    writer = _Writer(document, start=min(float(m.times[0]) for m, _ in motions))
    for number, ((motion, body), name) in enumerate(zip(motions, names, strict=True)):
        writer.person(motion, body, name=name, colour=_COLOURS[number % len(_COLOURS)])
    if camera is not None:
        writer.camera(camera, motions[0][0])
    if writer.animation.channels:
        document.animations = [writer.animation]
    return writer.buffer.finish()


class _Writer:
    """Fills one document; nodes that belong to the scene itself are listed in its scene."""

    def __init__(self, document: gl.GLTF2, *, start: float) -> None:
        self.document = document
        self.buffer = GlbBuffer(document)
        self.animation = gl.Animation(name="motion", channels=[], samplers=[])
        self.start = start
        self._inputs: dict[bytes, int] = {}

    def person(
        self, motion: Motion, body: BodyModel, *, name: str, colour: tuple[float, float, float]
    ) -> None:
        skin = skinned_body(motion, body)
        joints = self._skeleton(skin, body, name)
        mesh = self._mesh(skin, body.faces, name=name, colour=colour)
        document = self.document
        document.skins.append(
            gl.Skin(
                name=name,
                joints=joints,
                skeleton=joints[0],
                inverseBindMatrices=self.buffer.add(_inverse_binds(skin.joints)),
            )
        )
        mesh_node = self._node(gl.Node(name=name, mesh=mesh, skin=len(document.skins) - 1))
        document.scenes[0].nodes += [joints[0], mesh_node]
        self._rotate(motion, joints)
        self._move(motion, body, joints)
        if len(skin.morphs):
            weights = skin.morph_weights.reshape(-1)
            self._channel(mesh_node, "weights", times=motion.times, values=weights)

    def camera(self, camera: Camera, motion: Motion) -> None:
        focal = camera.K[:, [0, 1], [0, 1]].median(0).values.tolist()
        perspective = gl.Perspective(
            yfov=2 * math.atan(camera.height / (2 * focal[1])),
            aspectRatio=camera.width * focal[1] / (camera.height * focal[0]),
            znear=_NEAR_METRES,
            zfar=_FAR_METRES,
        )
        self.document.cameras.append(
            gl.Camera(name="camera", type="perspective", perspective=perspective)
        )
        # glTF cameras look along -z with y up, OpenCV's along +z with y down.
        flip = camera.R_w2c.new_tensor((1.0, -1.0, -1.0))
        turn = turn_up(camera.R_w2c, "y").mT * flip
        place, quaternion = turn_up(camera.centre, "y"), _quaternions_xyzw(turn)
        node = self._node(gl.Node(name="camera", camera=0))
        self.document.scenes[0].nodes.append(node)
        times = motion.times
        if len(camera) == len(motion):
            times, keep = _hold_at_cuts(motion)
            place, quaternion = place[keep], quaternion[keep]
        self._track(node, "translation", times=times, values=place)
        self._track(node, "rotation", times=times, values=_continuous(quaternion))

    def _skeleton(self, skin: SkinnedBody, body: BodyModel, name: str) -> list[int]:
        """Nodes of the 55 joints in order."""
        first = len(self.document.nodes)
        for joint, parent in enumerate(body.parents):
            offset = skin.joints[joint] - (skin.joints[parent] if parent >= 0 else 0.0)
            label = body.joint_names[joint]
            label = label if name == "person" else f"{name}:{label}"
            node = self._node(gl.Node(name=label, translation=offset.tolist()))
            if parent >= 0:
                self.document.nodes[first + parent].children.append(node)
        return list(range(first, first + len(body.parents)))

    def _mesh(
        self, skin: SkinnedBody, faces: Tensor, *, name: str, colour: tuple[float, float, float]
    ) -> int:
        add = self.buffer.add
        attributes = gl.Attributes(
            POSITION=add(_floats(skin.vertices), target=VERTICES, bounds=True),
            NORMAL=add(_floats(skin.normals), target=VERTICES),
            JOINTS_0=add(skin.influences.numpy().astype(np.uint8), target=VERTICES),
            WEIGHTS_0=add(_floats(skin.weights), target=VERTICES),
        )
        small = len(skin.vertices) < np.iinfo(np.uint16).max
        corners = faces.reshape(-1).numpy().astype(np.uint16 if small else np.uint32)
        targets = [
            {"POSITION": add(_floats(morph), target=VERTICES, bounds=True)} for morph in skin.morphs
        ]
        paint = gl.PbrMetallicRoughness(
            baseColorFactor=[*colour, 1.0], metallicFactor=0.0, roughnessFactor=0.7
        )
        self.document.materials.append(gl.Material(name=name, pbrMetallicRoughness=paint))
        primitive = gl.Primitive(
            attributes=attributes,
            indices=add(corners, target=INDICES),
            material=len(self.document.materials) - 1,
            targets=targets or None,
        )
        weights = [0.0] * len(targets) if targets else None
        self.document.meshes.append(gl.Mesh(name=name, primitives=[primitive], weights=weights))
        return len(self.document.meshes) - 1

    def _rotate(self, motion: Motion, joints: list[int]) -> None:
        local = motion.rotations.clone()
        local[:, 0] = turn_up(local[:, 0].mT, "y").mT
        for joint, node in enumerate(joints):
            quaternions = _continuous(_quaternions_xyzw(local[:, joint]))
            self._track(node, "rotation", times=motion.times, values=quaternions)

    def _move(self, motion: Motion, body: BodyModel, joints: list[int]) -> None:
        """The pelvis path, and the few joints (jaw, eyes) that the expression shifts."""
        pelvis = turn_up(pelvis_path(motion, body), "y")
        self._track(joints[0], "translation", times=motion.times, values=pelvis)
        rest = body.rest_joints(motion.betas, motion.expression).detach()
        for joint, parent in enumerate(body.parents):
            offset = rest[:, joint] - rest[:, parent]
            if parent >= 0 and float((offset - offset[:1]).abs().max()) > _SHIFTED_METRES:
                self._channel(joints[joint], "translation", times=motion.times, values=offset)

    def _track(self, node: int, path: str, *, times: Tensor, values: Tensor) -> None:
        """A channel, or where nothing moves the node's own value."""
        if len(values) > 1 and float((values - values[:1]).abs().max()) > _STILL:
            self._channel(node, path, times=times, values=values)
        else:
            setattr(self.document.nodes[node], path, values[0].tolist())

    def _channel(self, node: int, path: str, *, times: Tensor, values: Tensor) -> None:
        seconds = _floats(times - self.start)
        key = seconds.tobytes()
        if key not in self._inputs:
            self._inputs[key] = self.buffer.add(seconds, bounds=True)
        output = self.buffer.add(_floats(values))
        self.animation.samplers.append(
            gl.AnimationSampler(input=self._inputs[key], output=output, interpolation="LINEAR")
        )
        target = gl.AnimationChannelTarget(node=node, path=path)
        sampler = len(self.animation.samplers) - 1
        self.animation.channels.append(gl.AnimationChannel(sampler=sampler, target=target))

    def _node(self, node: gl.Node) -> int:
        self.document.nodes.append(node)
        return len(self.document.nodes) - 1


def _checked_names(
    motions: People, camera: Camera | None, names: Sequence[str] | None
) -> Sequence[str]:
    if not motions:
        raise UsageError("no motion given; a GLB needs at least one")
    for motion, body in motions:
        require_frames(motion, "GLB")
        if not len(body.faces):
            raise BodyError(f"body {body.body_id} has no faces; a GLB needs a mesh")
    if camera is not None and len(camera) not in (1, len(motions[0][0])):
        raise UsageError(
            f"the camera has {len(camera)} frames, the first motion {len(motions[0][0])}; "
            "give one camera pose, or one a frame"
        )
    if names is None:
        several = [f"person_{i}" for i in range(1, len(motions) + 1)]
        return several if len(motions) > 1 else ["person"]
    if len(names) != len(motions) or len(set(names)) != len(names):
        raise UsageError(f"{len(names)} names for {len(motions)} motions; one different name each")
    return names


def _inverse_binds(joints: Tensor) -> NDArray[Any]:
    """`(55, 16)` matrices, column by column, that take a joint's rest place to the origin."""
    matrices = np.tile(np.eye(4, dtype=np.float32), (len(joints), 1, 1))
    matrices[:, 3, :3] = -joints.numpy()
    return matrices.reshape(-1, 16)


def _hold_at_cuts(motion: Motion) -> tuple[Tensor, Tensor]:
    """Times and frame indices with the last frame of each shot held until just before the cut.

    Without them a player would fly the camera from one shot's place to the next one's.
    """
    cuts = (motion.shot_id.diff() != 0).nonzero()[:, 0]
    held = motion.times[cuts + 1] - _CUT_SECONDS
    cuts, held = cuts[held > motion.times[cuts]], held[held > motion.times[cuts]]
    times = torch.cat((motion.times, held))
    order = times.argsort()
    return times[order], torch.cat((torch.arange(len(motion)), cuts))[order]


def _quaternions_xyzw(rotations: Tensor) -> Tensor:
    """`(..., 3, 3)` to unit quaternions in glTF's order `(..., 4)`."""
    quaternions: Tensor = roma.rotmat_to_unitquat(rotations.double())
    return quaternions


def _continuous(quaternions: Tensor) -> Tensor:
    """`(T, ..., 4)` with signs chosen so that each frame is on the side of the one before."""
    same = (quaternions[1:] * quaternions[:-1]).sum(-1, keepdim=True) >= 0
    signs = torch.where(same, 1.0, -1.0).to(quaternions.dtype)
    return torch.cat((quaternions[:1], quaternions[1:] * signs.cumprod(0)))


def _floats(values: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(values.detach().cpu().numpy(), dtype=np.float32)
