"""What a file is and what is wrong with it, as a plain dictionary for `humanmotion info FILE`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from humanmotion.body import BodyModel
from humanmotion.camera import Camera
from humanmotion.errors import InputError
from humanmotion.files import npz_shapes, read_npz
from humanmotion.io import amass, keypoints_npz, npz, smplx_params
from humanmotion.io.bvh import read_bvh
from humanmotion.io.bvh_text import parse_bvh
from humanmotion.io.cameras_json import read_cameras_json
from humanmotion.io.colmap import read_colmap
from humanmotion.io.gltf_describe import glb_facts
from humanmotion.io.joint_track import JointTrack
from humanmotion.io.joints_csv import read_joints_csv
from humanmotion.io.keypoints_json import openpose_summary, read_coco_wholebody
from humanmotion.io.motion_problems import motion_problems, up_axis
from humanmotion.io.sniff import Format, sniff
from humanmotion.io.trc import read_trc
from humanmotion.io.video import probe
from humanmotion.keypoints import Keypoints
from humanmotion.motion import JOINTS, Motion

Facts = dict[str, Any]
_NPZ_KEYS: dict[str, tuple[str, ...]] = {
    "motion": npz.KEYS,
    "amass": (*amass.KEYS, *amass.KNOWN_EXTRAS),
    "smplx_params": smplx_params.KEYS,
    "keypoints": keypoints_npz.KEYS,
}


def describe(path: str | Path, *, body: BodyModel | None = None) -> Facts:
    """`path`, `format`, sizes, rate, axes, body, and `problems`, a list of lines.

    Problems are numbers that are not finite, unknown keys, jumps, wrong axes, feet off the floor,
    and whatever keeps the file from being read, which is under `error` too. `body` (the default one
    if not given) is what BVH is read onto and feet are measured with. Numbers are finite; one that
    is not becomes None. Raises, as `sniff`, only where no format is recognised.
    """
    path = Path(path)
    kind = sniff(path)
    facts: Facts = {"path": str(path), "format": kind, "problems": []}
    for part in (_members, _content):
        try:
            found = part(path, kind, body)
        except InputError as error:
            found = {"problems": [str(error)], "error": str(error)}
        # The same fault may be met twice, by the look at the keys and by the reader.
        new = [line for line in found.pop("problems", []) if line not in facts["problems"]]
        facts["problems"] += new
        facts |= found
    return {key: _finite(value) for key, value in facts.items()}


def _finite(value: Any) -> Any:
    """None for a number that JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _members(path: Path, kind: Format, body: BodyModel | None) -> Facts:
    """Shapes of an npz, its unknown keys, and how many numbers are not finite."""
    del body
    if path.suffix.lower() != ".npz" or path.is_dir():
        return {}
    shapes = npz_shapes(path)
    known = _NPZ_KEYS.get(kind)
    unknown = sorted(set(shapes) - set(known)) if known else []
    problems = [f"unknown key {key[:60]!r} is ignored" for key in unknown]
    problems += [
        f"{key[:60]!r} holds Python objects, which are never loaded"
        for key, (_, dtype) in shapes.items()
        if dtype == "object"
    ]
    plain = [key for key in known or () if key in shapes and shapes[key][1].startswith("float")]
    for key in plain:
        # One at a time: together they may be more than the motion itself takes.
        bad = int((~np.isfinite(read_npz(path, keys=[key])[key])).sum())
        problems += [f"{key} holds {bad} numbers that are not finite"] if bad else []
    return {"shapes": {k: list(shape) for k, (shape, _) in shapes.items()}, "problems": problems}


def _content(path: Path, kind: Format, body: BodyModel | None) -> Facts:
    match kind:
        case "motion":
            return _with_camera(path, _motion(npz.read_motion(path), body or BodyModel.load()))
        case "amass":
            return _motion(amass.read_amass(path), body)
        case "smplx_params":
            return _motion(smplx_params.read_smplx_params(path), body)
        case "bvh":
            return _bvh(path, body or BodyModel.load())
        case "keypoints":
            return _keypoints([keypoints_npz.read_keypoints_npz(path)])
        case "coco_wholebody":
            return _keypoints(read_coco_wholebody(path))
        case "openpose":
            return openpose_summary(path)
        case "trc":
            return _track(read_trc(path), "y up in the file, metres after reading")
        case "csv":
            return _track(read_joints_csv(path), "z up, metres")
        case "cameras":
            return _camera(read_cameras_json(path)[0])
        case "colmap":
            return _camera(read_colmap(path))
        case "glb":
            return glb_facts(path)
        case "video":
            return _video(path)
        case "body":
            return _body(path)


def _motion(motion: Motion, body: BodyModel | None) -> Facts:
    return {
        "frames": len(motion),
        "fps": motion.fps,
        "duration_s": round(motion.duration, 3),
        "body": motion.body_id or "not named",
        "joints": int(motion.joints_present.sum()),
        "shots": len(motion.shot_id.unique()),
        "axes": f"z up, metres; the body stands along {up_axis(motion)}",
        "notes": list(motion.meta.get("notes", ())),
        "problems": motion_problems(motion, body=body),
    }


def _with_camera(path: Path, facts: Facts) -> Facts:
    camera = npz.read_camera(path)
    return facts | {"camera": None if camera is None else f"{camera.width}x{camera.height}"}


def _bvh(path: Path, body: BodyModel) -> Facts:
    file = parse_bvh(path)
    skeleton = file.skeleton
    silent = [n for n, c in zip(skeleton.names, skeleton.channels, strict=True) if c is None]
    bad = int((~file.values.isfinite()).sum())
    problems = [f"joint {name[:40]!r} has no CHANNELS line" for name in silent]
    problems += [f"{bad} numbers are not finite"] if bad else []
    facts: Facts = {
        "file_joints": len(skeleton.names),
        "frames": len(file.values),
        "fps": round(file.fps, 3),
    }
    try:
        read = _motion(read_bvh(path, body=body), body)
    except InputError as error:
        return facts | {"problems": [*problems, str(error)], "error": str(error)}
    return facts | read | {"problems": problems + read["problems"]}


def _keypoints(people: list[Keypoints]) -> Facts:
    if not people:
        return {"people": 0, "problems": ["the file holds no person"]}
    first, problems = people[0], []
    for number, person in enumerate(people):
        gone = int((~person.seen).sum())
        problems += [f"person {number} is absent in {gone} of {len(person)} frames"] if gone else []
    return {
        "people": len(people),
        "frames": len(first),
        "joint_set": first.joint_set,
        "picture": f"{first.width}x{first.height}",
        "axes": "pixels, x right, y down",
        "problems": problems,
    }


def _track(track: JointTrack, axes: str) -> Facts:
    frames = len(track.times)
    span = float(track.times[-1] - track.times[0]) if frames > 1 else 0.0
    fps = round((frames - 1) / span, 3) if span else None
    problems = [] if frames else ["the file has no frames"]
    return {
        "frames": frames, "fps": fps, "markers": len(track.names), "axes": axes,
        "problems": problems,
    }  # fmt: skip


def _camera(camera: Camera) -> Facts:
    moves = float((camera.centre - camera.centre[:1]).norm(dim=-1).max()) if len(camera) else 0.0
    return {
        "frames": len(camera),
        "picture": f"{camera.width}x{camera.height}",
        "focal_px": round(float(camera.K[:, 1, 1].median()), 2) if len(camera) else None,
        "moves_m": round(moves, 3),
        "axes": "OpenCV camera, world to camera",
    }


def _video(path: Path) -> Facts:
    info = probe(path)
    return {
        "picture": f"{info.width}x{info.height}",
        "fps": info.fps,
        "duration_s": info.duration,
        "rotation_deg": info.rotation,
        "codec": info.codec,
    }


def _body(path: Path) -> Facts:
    body = BodyModel.load(path)
    joints = int(body.joints_present.sum())
    lacks = [f"{JOINTS - joints} of {JOINTS} joints are not in the file; they stay at rest"]
    return {
        "body": body.body_id,
        "kind": body.kind,
        "vertices": len(body.template),
        "joints": joints,
        "landmark_sets": list(body.landmark_sets),
        "axes": "y up at rest, facing +z, metres",
        "problems": lacks if joints < JOINTS else [],
    }
