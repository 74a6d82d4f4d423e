"""BodyModel: shape, expression and pose to joints, landmarks and vertices."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from humanmotion.body.kinematics import forward_kinematics, joint_positions, skinning_transforms
from humanmotion.body.landmarks import LandmarkSkin, landmark_skins
from humanmotion.body.skeleton import ANKLES, FEET, HIPS, JOINTS, KNEES
from humanmotion.body.skinning import (
    Block,
    corrective_features,
    cut_blocks,
    pose_blocks,
    skin_points,
)
from humanmotion.body.smplx_file import COMPONENTS, BodyArrays, read_body
from humanmotion.errors import BodyError
from humanmotion.files import asset
from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS
from humanmotion.motion import POSE_FIELDS, Motion
from humanmotion.rotations import rotvec_to_matrix

DEFAULT_BODY = "body/default.npz"
_T = TypeVar("_T")


@dataclass(frozen=True)
class BodyOutput:
    """A posed body, in metres."""

    vertices: Tensor
    """`(..., V, 3)`."""
    joints: Tensor
    """`(..., 55, 3)`."""


@dataclass(frozen=True, eq=False)
class BodyModel:
    """A body that can be posed: differentiable, over any batch shape. Load one with `load`.

    Leading shapes of all arguments broadcast; one shape for many frames is `betas` `(10)`.
    Arguments are taken in the dtype of the body (float32; see `to`). The root turns about the
    pelvis joint: `pelvis = transl + J0(betas, expression)`. A flat hand is zero rotation.
    """

    joint_names: ClassVar[tuple[str, ...]] = SMPLX_JOINTS
    parents: ClassVar[tuple[int, ...]] = SMPLX_PARENTS

    body_id: str
    """Name of the body, as written into motion files."""
    sha256: str
    """Hash of the file it came from."""
    kind: str
    """Kind of file it came from: "SMPL-X", "SMPL-H" or "SMPL"."""
    faces: Tensor
    """`(F, 3)` int64."""
    joints_present: Tensor
    """`(55)` bool: joints that the file has; the others lie on their parent and carry no skin."""
    hand_means: Tensor
    """`(2, 45)`: the left and right hand that files without flat hands measure from."""
    template: Tensor
    """Vertices of the mean shape at rest `(V, 3)`, metres, y up, facing +z."""
    shapedirs: Tensor
    """`(V, 3, 10)` metres per unit of `betas`."""
    exprdirs: Tensor
    """`(V, 3, 10)` metres per unit of `expression`."""
    weights: Tensor
    """Skinning weights `(V, 55)`."""
    blocks: tuple[Block, ...]
    """The mesh once more, in the layout of the skinning code."""
    corrective_joints: Tensor
    """Joints whose turning drives pose correctives, int64; none when all correctives are zero."""
    joint_template: Tensor
    """Rest joints of the mean shape `(55, 3)`."""
    joint_blendshapes: Tensor
    """`(20, 55 * 3)`: how shape and expression move the rest joints."""
    soles: tuple[Tensor, Tensor]
    """Vertex indices under the left and the right foot."""
    landmark_skins: dict[str, LandmarkSkin]
    """Landmark set to its virtual vertices."""
    face_mesh_ids: tuple[int, ...]
    """MediaPipe face-mesh index of each point of the "face" set; empty without one."""

    @classmethod
    def load(cls, path: str | Path | None = None) -> BodyModel:
        """The body in an npz file (SMPL-X, SMPL-H or SMPL, told by its keys); None: the default.

        Raises BodyError, FileFormatError or InputError as `read_body` does.
        """
        return cls.from_arrays(read_body(asset(DEFAULT_BODY) if path is None else path))

    @classmethod
    def from_arrays(cls, body: BodyArrays) -> BodyModel:
        """The body of arrays in the 55-joint layout."""
        template = torch.from_numpy(body.template)
        shapedirs, exprdirs = torch.from_numpy(body.shapedirs), torch.from_numpy(body.exprdirs)
        blendshapes = torch.cat((shapedirs, exprdirs), -1)
        regressor = torch.from_numpy(body.regressor)
        weights = torch.from_numpy(body.weights)
        rows = None if body.correctives is None else torch.from_numpy(body.correctives)
        moved = regressor @ blendshapes.reshape(len(template), 3 * 2 * COMPONENTS)
        return cls(
            body_id=body.body_id,
            sha256=body.sha256,
            kind=body.kind,
            faces=torch.from_numpy(body.faces),
            joints_present=torch.from_numpy(body.joints_present),
            hand_means=torch.from_numpy(body.hand_means),
            template=template,
            shapedirs=shapedirs,
            exprdirs=exprdirs,
            weights=weights,
            blocks=cut_blocks(template, blendshapes, weights=weights, correctives=rows),
            corrective_joints=torch.tensor(body.corrective_joints, dtype=torch.long),
            joint_template=regressor @ template,
            joint_blendshapes=moved.reshape(3 * JOINTS, 2 * COMPONENTS).T.contiguous(),
            soles=_soles(body),
            landmark_skins=landmark_skins(body),
            face_mesh_ids=body.face_mesh_ids,
        )

    def to(
        self, device: torch.device | str | None = None, *, dtype: torch.dtype | None = None
    ) -> BodyModel:
        """The same body with its tensors on `device`, its real numbers in `dtype`."""
        return _moved(self, device, dtype)

    @property
    def dtype(self) -> torch.dtype:
        """Floating type that the body computes in."""
        return self.joint_template.dtype

    @property
    def device(self) -> torch.device:
        """Where its tensors lie."""
        return self.joint_template.device

    @property
    def landmark_sets(self) -> tuple[str, ...]:
        """Names that `landmarks` takes."""
        return tuple(self.landmark_skins)

    def __call__(
        self,
        *,
        global_orient: Tensor,
        body_pose: Tensor,
        left_hand_pose: Tensor | None = None,
        right_hand_pose: Tensor | None = None,
        jaw_pose: Tensor | None = None,
        leye_pose: Tensor | None = None,
        reye_pose: Tensor | None = None,
        betas: Tensor | None = None,
        expression: Tensor | None = None,
        transl: Tensor | None = None,
    ) -> BodyOutput:
        """Vertices and joints from smplx's parameters.

        Poses are rotation vectors in radians: `global_orient`, `jaw_pose`, `leye_pose`,
        `reye_pose` `(..., 3)`, `body_pose` `(..., 63)`, hand poses `(..., 45)`. What is None is at
        rest. Raises BodyError when a last dimension does not fit.
        """
        poses = {
            "global_orient": global_orient,
            "body_pose": body_pose,
            "jaw_pose": jaw_pose,
            "leye_pose": leye_pose,
            "reye_pose": reye_pose,
            "left_hand_pose": left_hand_pose,
            "right_hand_pose": right_hand_pose,
        }
        return self._output(self._rotations(poses), betas, expression, transl)

    def pose(self, motion: Motion) -> BodyOutput:
        """Vertices `(T, V, 3)` and joints `(T, 55, 3)` of a motion, in its world."""
        return self._output(motion.rotations, motion.betas, motion.expression, motion.transl)

    def joints_of(self, motion: Motion) -> Tensor:
        """Joints `(T, 55, 3)` of a motion, in its world."""
        return self.joints(
            motion.rotations,
            betas=motion.betas,
            expression=motion.expression,
            transl=motion.transl,
        )

    def rest_joints(self, betas: Tensor | None = None, expression: Tensor | None = None) -> Tensor:
        """Joints `(..., 55, 3)` of the rest pose for `betas` and `expression` `(..., 10)`."""
        coefficients = self._coefficients(betas, expression)
        moved = coefficients @ self.joint_blendshapes
        return self.joint_template + moved.reshape(*coefficients.shape[:-1], JOINTS, 3)

    def frames(
        self,
        rotations: Tensor,
        *,
        betas: Tensor | None = None,
        expression: Tensor | None = None,
        transl: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Joint positions `(..., 55, 3)` and world rotations `(..., 55, 3, 3)`.

        `rotations` `(..., 55, 3, 3)` are local, the root's in the world; `betas` and `expression`
        `(..., 10)`; `transl` `(..., 3)` metres.
        """
        _check_tail("rotations", rotations, (JOINTS, 3, 3))
        rest = self.rest_joints(betas, expression)
        positions, world = forward_kinematics(rotations.to(self.dtype), rest)
        return self._moved(positions, transl), world

    def joints(
        self,
        rotations: Tensor,
        *,
        betas: Tensor | None = None,
        expression: Tensor | None = None,
        transl: Tensor | None = None,
    ) -> Tensor:
        """Joints `(..., 55, 3)`; arguments as for `frames`. The mesh is never touched."""
        _check_tail("rotations", rotations, (JOINTS, 3, 3))
        rest = self.rest_joints(betas, expression)
        return self._moved(joint_positions(rotations.to(self.dtype), rest), transl)

    def vertices(
        self,
        rotations: Tensor,
        *,
        betas: Tensor | None = None,
        expression: Tensor | None = None,
        transl: Tensor | None = None,
    ) -> Tensor:
        """Vertices `(..., V, 3)`; arguments as for `frames`."""
        return self._output(rotations, betas, expression, transl).vertices

    def landmarks(
        self,
        set_name: str,
        rotations: Tensor,
        *,
        betas: Tensor | None = None,
        expression: Tensor | None = None,
        transl: Tensor | None = None,
    ) -> Tensor:
        """Landmarks `(..., L, 3)` of one of `landmark_sets`; arguments as for `frames`.

        Raises BodyError when this body has no such set.
        """
        skin = self.landmark_skin(set_name)
        rest, positions, world = self._kinematics(rotations, betas, expression)
        transforms = skinning_transforms(positions, world, rest)
        dirs = torch.cat((skin.shapedirs, skin.exprdirs), -1)
        shaped = (
            skin.template
            + (dirs @ self._coefficients(betas, expression)[..., None, :, None])[..., 0]
        )
        lead, flat = transforms.shape[:-3], math.prod(transforms.shape[:-3])
        points = shaped.expand(*lead, *skin.template.shape).reshape(flat, *skin.template.shape)
        moved = skin_points(points.mT, skin.weights.T, transforms.reshape(flat, JOINTS, 3, 4))
        out = moved.mT.reshape(*lead, *skin.template.shape)
        return self._moved(out, transl)

    def landmark_skin(self, set_name: str) -> LandmarkSkin:
        """The virtual vertices of a landmark set; raises BodyError when there is none."""
        if set_name not in self.landmark_skins:
            raise BodyError(
                f"landmark set {set_name!r} given; body {self.body_id} has "
                f"{', '.join(self.landmark_skins)}"
            )
        return self.landmark_skins[set_name]

    def sole_offset(self, betas: Tensor | None = None) -> Tensor:
        """Height `(..., 2)` in metres of the foot joints (10, 11) above the sole, at rest."""
        shape = self._coefficients(betas, None)[..., :COMPONENTS]
        joints = self.rest_joints(betas)
        heights = []
        for foot, ids in zip(FEET, self.soles, strict=True):
            height = self.template[ids, 1] + shape @ self.shapedirs[ids, 1].T
            heights.append(joints[..., foot, 1] - height.amin(-1))
        return torch.stack(heights, -1)

    def leg_length(self, betas: Tensor | None = None) -> Tensor:
        """Hip to knee to ankle in metres `(...)`, mean of both legs."""
        joints = self.rest_joints(betas)
        hip, knee, ankle = (joints[..., list(pair), :] for pair in (HIPS, KNEES, ANKLES))
        legs: Tensor = (hip - knee).norm(dim=-1) + (knee - ankle).norm(dim=-1)
        return legs.mean(-1)

    def _rotations(self, poses: dict[str, Tensor | None]) -> Tensor:
        for name, pose in poses.items():
            if pose is not None:
                _check_tail(name, pose, (3 * POSE_FIELDS[name],))
        lead = torch.broadcast_shapes(*(p.shape[:-1] for p in poses.values() if p is not None))
        rest = self.joint_template.new_zeros(())
        parts = [
            (rest if pose is None else pose.to(self.dtype)).expand(*lead, 3 * POSE_FIELDS[name])
            for name, pose in poses.items()
        ]
        return rotvec_to_matrix(torch.cat(parts, -1).reshape(*lead, JOINTS, 3))

    def _coefficients(self, betas: Tensor | None, expression: Tensor | None) -> Tensor:
        """Shape and expression `(..., 20)`."""
        zero = self.joint_template.new_zeros(COMPONENTS)
        parts = [zero if part is None else part.to(self.dtype) for part in (betas, expression)]
        for name, part in zip(("betas", "expression"), parts, strict=True):
            _check_tail(name, part, (COMPONENTS,))
        lead = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
        return torch.cat([part.expand(*lead, COMPONENTS) for part in parts], -1)

    def _moved(self, points: Tensor, transl: Tensor | None) -> Tensor:
        """Points `(..., N, 3)` shifted by `transl` `(..., 3)`."""
        if transl is None:
            return points
        _check_tail("transl", transl, (3,))
        return points + transl.to(self.dtype)[..., None, :]

    def _kinematics(
        self, rotations: Tensor, betas: Tensor | None, expression: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        positions, world = self.frames(rotations, betas=betas, expression=expression)
        return self.rest_joints(betas, expression), positions, world

    def _output(
        self,
        rotations: Tensor,
        betas: Tensor | None,
        expression: Tensor | None,
        transl: Tensor | None,
    ) -> BodyOutput:
        rest, positions, world = self._kinematics(rotations, betas, expression)
        shift = self.joint_template.new_zeros(3) if transl is None else transl.to(self.dtype)
        _check_tail("transl", shift, (3,))
        coefficients = self._coefficients(betas, expression)
        lead = torch.broadcast_shapes(positions.shape[:-2], shift.shape[:-1])
        turned = _flat(rotations.to(self.dtype), lead, (JOINTS, 3, 3), share=False)
        carry = _flat(
            skinning_transforms(positions, world, rest), lead, (JOINTS, 3, 4), share=False
        )
        corrected = len(self.corrective_joints) > 0
        vertices = pose_blocks(
            self.blocks,
            _flat(coefficients, lead, (2 * COMPONENTS,)),
            features=corrective_features(turned, self.corrective_joints) if corrected else None,
            transforms=carry,
            transl=_flat(shift, lead, (3,)),
        )
        joints = (positions + shift[..., None, :]).expand(*lead, JOINTS, 3)
        return BodyOutput(vertices.reshape(*lead, len(self.template), 3), joints)


def _flat(
    value: Tensor, lead: tuple[int, ...], tail: tuple[int, ...], *, share: bool = True
) -> Tensor:
    """`(..., *tail)` as `(prod(lead), *tail)`; one row stays one row where that may be shared."""
    if share and math.prod(value.shape[: value.ndim - len(tail)]) == 1:
        return value.reshape(1, *tail)
    return value.expand(*lead, *tail).reshape(math.prod(lead), *tail)


def _check_tail(name: str, value: Tensor, tail: tuple[int, ...]) -> None:
    if tuple(value.shape[max(value.ndim - len(tail), 0) :]) != tail:
        wanted = ", ".join(map(str, tail))
        raise BodyError(f"{name} has shape {tuple(value.shape)}, expected (..., {wanted})")


def _soles(body: BodyArrays) -> tuple[Tensor, Tensor]:
    """The file's sole vertices, or all that the ankle and foot joints lead."""
    part = torch.from_numpy(body.weights).argmax(1)
    found = []
    for ids, ankle, foot in zip(body.soles, ANKLES, FEET, strict=True):
        led = ((part == ankle) | (part == foot)).nonzero()[:, 0]
        if not len(ids) and not len(led):
            raise BodyError(f"body {body.body_id} has no skin on foot joints {ankle}, {foot}")
        found.append(torch.from_numpy(ids) if len(ids) else led)
    return found[0], found[1]


def _moved(value: _T, device: torch.device | str | None, dtype: torch.dtype | None) -> _T:
    """A value with every tensor inside it moved; integers keep their type."""
    moved: Any = value
    if isinstance(value, Tensor):
        moved = value.to(device, dtype if value.is_floating_point() else None)
    elif isinstance(value, dict):
        moved = {key: _moved(item, device, dtype) for key, item in value.items()}
    elif isinstance(value, tuple):
        moved = tuple(_moved(item, device, dtype) for item in value)
    elif is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: _moved(getattr(value, f.name), device, dtype) for f in fields(value)}
        moved = replace(value, **changed)
    return moved
