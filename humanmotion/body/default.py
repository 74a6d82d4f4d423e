"""Build the default body from the CC0 MakeHuman / MPFB2 files.

    python -m humanmotion.body.default SOURCE -o assets/body/default.npz

SOURCE is the folder of the source files (see `build_source`). The result has SMPL-X's keys and
55-joint tree, so `smplx.SMPLX` loads it too; it holds no data of SMPL, SMPL-X or MANO. The same
source gives the same bytes on one machine.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanmotion.body import build_hands, build_landmarks, build_shape, build_skeleton
from humanmotion.body.build_colours import vertex_colours
from humanmotion.body.build_contour import smplx_face_keys
from humanmotion.body.build_regressor import convex_weights, dense_rows
from humanmotion.body.build_source import Floats, Ints, Source, read_source
from humanmotion.body.build_weights import skin_weights
from humanmotion.errors import HumanMotionError
from humanmotion.files import write_npz
from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS

BODY_ID = "humanmotion-default-1"
STATURE = 1.70
SHAPES, EXPRESSIONS = 10, 10
_SAMPLES, _SEED = 400, 20240
_REGRESSED = 60
_EYES = {"left_eye_smplhf": "helper-l-eye", "right_eye_smplhf": "helper-r-eye"}
# Source vertices put where smplx looks for its 21 extra joints (its own vertex numbers), so that
# nose, eyes, ears, finger tips, toes and heels come out right there. smplx number: source vertex.
_SMPLX_EXTRA = {
    9120: 294, 9929: 14679, 9448: 14607, 616: 5439, 6: 12038,
    8079: 2680, 7669: 1927, 7794: 2119, 7905: 2314, 8022: 2503,
    5361: 9348, 4933: 8595, 5058: 8787, 5169: 8982, 5286: 9171,
    5770: 11551, 5780: 12624, 8846: 12453, 8463: 4933, 8474: 6027, 8635: 5856,
}  # fmt: skip
_POSE_FEATURES = 9 * (len(SMPLX_JOINTS) - 1)


@dataclass(frozen=True)
class _Population:
    """Sampled bodies in the T-pose."""

    vertices: Floats
    """(S, V, 3)."""
    joints: Floats
    """(S, 65, 3), finger tips last."""


@dataclass(frozen=True)
class DefaultBody:
    """What the build makes, and how good it is."""

    arrays: dict[str, NDArray[Any]]
    """The npz members."""
    leg_length: float
    """Hip to knee to ankle, metres."""
    joint_error: Floats
    """(55,) mean distance in metres of regressed from placed joints, on bodies not fitted to."""


def build(source_folder: str | Path) -> DefaultBody:
    """Build the default body from the source files; raises InputError and FileFormatError."""
    source = read_source(source_folder)
    used, quads, weights = _skin(source)
    people = _population(source, used, weights)
    mean, directions = build_shape.principal_directions(people.vertices, quads, SHAPES)
    scale = STATURE / np.ptp(mean[:, 1])
    expressions = build_shape.expression_directions(source)[used]
    shapes = np.concatenate([directions, expressions], -1) * scale
    samples = build_landmarks.BodySamples(
        np.concatenate([mean[None], people.vertices[:_REGRESSED]]) * scale,
        np.concatenate([people.joints.mean(0)[None], people.joints[:_REGRESSED]]) * scale,
        weights,
        used,
        source.mirror,
    )
    arrays = _assemble(samples, quads, shapes)
    regressed = np.einsum("jv,sva->sja", arrays["J_regressor"], people.vertices[_REGRESSED:])
    off = np.linalg.norm(regressed - people.joints[_REGRESSED:, : len(SMPLX_JOINTS)], axis=-1)
    hip, knee, ankle = (
        samples.joints[0, build_skeleton.INDEX[f"left_{n}"]] for n in ("hip", "knee", "ankle")
    )
    leg = float(np.linalg.norm(hip - knee) + np.linalg.norm(knee - ankle))
    return DefaultBody(arrays, leg, off.mean(0) * scale)


def _skin(source: Source) -> tuple[Ints, Ints, Floats]:
    """Source vertices used (V), quads among them (F, 4), weights (V, 55)."""
    parts = [source.faces["body"], *(source.faces[group] for group in _EYES.values())]
    used = _smplx_order(np.concatenate([np.unique(part) for part in parts]))
    place = np.full(len(source.vertices), -1)
    place[used] = np.arange(len(used))
    origin = build_shape.source_pose_joints(source, source.vertices)
    weights = skin_weights(source, source.faces["body"], origin)
    for joint, group in _EYES.items():
        weights[np.unique(source.faces[group])] = np.eye(len(SMPLX_JOINTS))[
            build_skeleton.INDEX[joint]
        ]
    return used, place[np.concatenate(parts)], weights[used]


def _smplx_order(used: Ints) -> Ints:
    out = used.copy()
    for slot, vertex in _SMPLX_EXTRA.items():
        at = int(np.flatnonzero(out == vertex)[0])
        out[[slot, at]] = out[[at, slot]]
    return out


def _population(source: Source, used: Ints, weights: Floats) -> _Population:
    rng = np.random.default_rng(_SEED)
    morphs = build_shape.read_morphs(source)
    vertices, joints = [], []
    for _ in range(_SAMPLES):
        body = build_shape.sample_body(source, morphs, rng)
        v, j = build_shape.pose_to_rest(
            body[used], weights, build_skeleton.source_joints(source, body)
        )
        vertices.append(v)
        joints.append(j)
    return _Population(np.array(vertices), np.array(joints))


def _assemble(
    samples: build_landmarks.BodySamples, quads: Ints, shapes: Floats
) -> dict[str, NDArray[Any]]:
    template = samples.vertices[0]
    count = len(template)
    faces = _triangles(quads)
    regressor = _joint_regressor(samples)
    parents = np.array([SMPLX_PARENTS, range(len(SMPLX_PARENTS))], np.int64)
    return {
        # Rounded to a tenth of a micrometre: what differs between machines is far below that.
        "v_template": template.round(7).astype(np.float32),
        "shapedirs": shapes.round(7).astype(np.float32),
        "posedirs": np.zeros((count, 3, _POSE_FEATURES), np.int8),
        "J_regressor": regressor.round(8).astype(np.float32),
        "weights": samples.weights.round(7).astype(np.float32),
        "f": faces.astype(np.uint32),
        "kintree_table": parents,
        "joint_names": np.array(SMPLX_JOINTS),
        "body_id": np.array(BODY_ID),
        "source_vertices": samples.source_vertices.astype(np.int32),
        "vertex_colours": vertex_colours(samples, quads),
        **build_hands.hand_keys(),
        **smplx_face_keys(samples, faces),
        **build_landmarks.landmark_tables(samples),
        **_soles(samples),
    }


def _triangles(quads: Ints) -> Ints:
    # The same cut as in the face table, whose points lie on these triangles.
    return quads[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)


def _joint_regressor(samples: build_landmarks.BodySamples) -> Floats:
    """(55, V), left and right mirror images of each other."""
    follow = partial(convex_weights, vertices=samples.vertices, keep=40, candidates=300, thin=5)
    rows = [follow(samples.joints[:, j]) for j in range(len(SMPLX_JOINTS))]
    out = dense_rows([ids for ids, _ in rows], [w for _, w in rows], len(samples.mirror))
    mirrored = out[build_skeleton.OTHER_SIDE][:, samples.mirror]
    return (out + mirrored) / 2


def _soles(samples: build_landmarks.BodySamples) -> dict[str, NDArray[np.int32]]:
    template = samples.vertices[0]
    low = template[:, 1] < template[:, 1].min() + 0.012
    return {
        "sole_left": np.flatnonzero(low & (template[:, 0] > 0)).astype(np.int32),
        "sole_right": np.flatnonzero(low & (template[:, 0] < 0)).astype(np.int32),
    }


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m humanmotion.body.default", description=__doc__)
    parser.add_argument("source", help="folder of the MakeHuman / MPFB2 files")
    parser.add_argument("-o", "--output", default="assets/body/default.npz", help="npz to write")
    given = parser.parse_args(arguments)
    try:
        body = build(given.source)
        write_npz(given.output, body.arrays)
    except HumanMotionError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    worst = int(np.argmax(body.joint_error))
    sys.stdout.write(
        f"{given.output}: {len(body.arrays['v_template'])} vertices, "
        f"leg {body.leg_length:.3f} m (hip, knee, ankle), joints regressed within "
        f"{body.joint_error.mean() * 1000:.1f} mm on average, "
        f"{body.joint_error[worst] * 1000:.1f} mm at worst ({SMPLX_JOINTS[worst]})\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
