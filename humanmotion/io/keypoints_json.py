"""2D keypoints as JSON: OpenPose (a folder of frames, or one file) and COCO-WholeBody.

Sources: OpenPose doc/02_output.md; jin-s13/COCO-WholeBody data_format.md.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanmotion.errors import FileFormatError, InputError, UsageError
from humanmotion.files import read_json, writable_folder, write_json
from humanmotion.io.fields import naming
from humanmotion.keypoints import Keypoints

_OPENPOSE_PARTS = {
    "pose_keypoints_2d": 25,
    "hand_left_keypoints_2d": 21,
    "hand_right_keypoints_2d": 21,
    "face_keypoints_2d": 70,
}
_COCO_PARTS = {
    "keypoints": 17,
    "foot_kpts": 6,
    "face_kpts": 68,
    "lefthand_kpts": 21,
    "righthand_kpts": 21,
}
_COCO_ALL = sum(_COCO_PARTS.values())
MAX_PERSON_FRAMES = 500_000
"""People times frames of one file; more would not fit into memory."""


def read_openpose(
    path: str | Path, *, width: int, height: int, fps: float = 30.0, person: int = 0
) -> Keypoints:
    """Person number `person` of each frame, as joint set "openpose_135".

    OpenPose stores neither picture size nor rate, so they are given. Frames without that person get
    confidence 0. OpenPose does not follow people: with several, number `person` may be someone
    else in the next frame. Raises FileFormatError naming the damaged file.
    """
    rows = [_openpose_frame(file, person) for file in openpose_files(path)]
    table = torch.tensor(rows).reshape(len(rows), -1, 3)
    with naming(path):
        return Keypoints(
            xy=table[..., :2],
            confidence=table[..., 2],
            times=torch.arange(len(rows), dtype=torch.float64) / fps,
            joint_set="openpose_135",
            width=width,
            height=height,
        )


def openpose_files(path: str | Path) -> list[Path]:
    """The files of an OpenPose result in frame order; raises InputError when there are none."""
    path = Path(path)
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*_keypoints.json")) or sorted(path.glob("*.json"))
    if not files:
        raise InputError(f"folder {path} holds no OpenPose files (*_keypoints.json)")
    return files


def openpose_summary(path: str | Path) -> dict[str, Any]:
    """Frames, most people in one frame, and frames without anyone (under "problems")."""
    counts = []
    for file in openpose_files(path):
        people = _people(read_json(file), file)
        _ = [_openpose_rows(person, file) for person in people]
        counts.append(len(people))
    empty = sum(count == 0 for count in counts)
    problems = [f"nobody is in {empty} of {len(counts)} frames"] if empty else []
    return {
        "frames": len(counts),
        "people": max(counts),
        "joint_set": "openpose_135",
        "axes": "pixels, x right, y down; the picture's size is not stored",
        "problems": problems,
    }


def write_openpose(folder: str | Path, people: list[Keypoints], *, name: str = "frame") -> None:
    """Write one `<name>_000000000000_keypoints.json` a frame, with BODY_25, hands and face 70.

    People share their frames (UsageError otherwise); who is absent from a frame is left out.
    """
    frames = _same_frames(people)
    tables = [_table(person.to_set("openpose_135")) for person in people]
    folder = writable_folder(folder)
    for frame in range(frames):
        seen = [t[frame] for t in tables if (t[frame, :, 2] > 0).any()]
        value = {"version": 1.3, "people": [_openpose_person(row) for row in seen]}
        write_json(folder / f"{name}_{frame:012d}_keypoints.json", value)


def read_coco_wholebody(path: str | Path, *, fps: float = 30.0) -> list[Keypoints]:
    """Everyone in a COCO-WholeBody file, as "coco_wholebody_133"; images are the frames, by id.

    People are told apart by `track_id` where annotations have one, else by their place in the
    image's list. `timestamp` of an image (seconds) is used where all have it, else `fps`. Third
    numbers are confidences, or COCO's flags 0, 1, 2. Raises FileFormatError.
    """
    value = read_json(path)
    images, annotations = _coco_lists(path, value)
    try:
        images = sorted(images, key=lambda image: image["id"])
        place = {image["id"]: frame for frame, image in enumerate(images)}
        people: dict[Any, Tensor] = {}
        rows = _coco_rows(annotations, place)
        if len({track for _, track, _ in rows}) * len(images) > MAX_PERSON_FRAMES:
            raise FileFormatError(f"{path} has too many people for {len(images)} frames")
        for frame, track, row in rows:
            people.setdefault(track, torch.zeros(len(images), _COCO_ALL, 3))[frame] = row
        width, height = int(images[0]["width"]), int(images[0]["height"])
        times = _coco_times(images, fps)
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError, OverflowError) as error:
        raise FileFormatError(f"{path} is no COCO-WholeBody file: {error!r}") from error
    with naming(path):
        return [
            Keypoints(
                xy=table[..., :2],
                confidence=_as_confidence(table[..., 2]),
                times=times,
                joint_set="coco_wholebody_133",
                width=width,
                height=height,
            )
            for _, table in sorted(people.items(), key=lambda item: str(item[0]))
        ]


def write_coco_wholebody(path: str | Path, people: list[Keypoints]) -> None:
    """Write people over shared frames (UsageError otherwise) as one COCO-WholeBody file.

    Beside COCO's own keys, images carry `timestamp` in seconds and annotations `track_id`.
    """
    frames = _same_frames(people)
    first = people[0]
    images = [
        {"id": i, "file_name": f"frame_{i:06d}.png", "width": first.width, "height": first.height,
         "timestamp": float(first.times[i])}
        for i in range(frames)
    ]  # fmt: skip
    annotations: list[dict[str, Any]] = []
    for track, person in enumerate(people):
        table, boxes = _table(person.to_set("coco_wholebody_133")), person.boxes(0.0)
        for i in person.seen.nonzero()[:, 0].tolist():
            head = {"id": len(annotations), "image_id": i, "category_id": 1, "track_id": track}
            annotations.append(head | _coco_person(table[i], boxes[i]))
    categories = [{"id": 1, "name": "person", "supercategory": "person"}]
    write_json(path, {"images": images, "annotations": annotations, "categories": categories})


def _openpose_frame(file: Path, person: int) -> list[list[float]]:
    """`(135)` rows of x, y, confidence."""
    people = _people(read_json(file), file)
    if person >= len(people):
        return [[0.0, 0.0, 0.0]] * 135
    return _openpose_rows(people[person], file)


def _openpose_rows(person: Any, file: Path) -> list[list[float]]:
    rows: list[list[float]] = []
    for key, count in _OPENPOSE_PARTS.items():
        flat = person.get(key, []) if isinstance(person, dict) else None
        part = _triples(flat, f"{file}: {key}", count)
        # The root of OpenPose's hand is the body's wrist, which is there already.
        rows += part[1:] if key.startswith("hand") else part
    return rows


def _people(value: Any, file: Path) -> list[Any]:
    people = value.get("people") if isinstance(value, dict) else None
    if not isinstance(people, list):
        raise FileFormatError(f"{file} is not an OpenPose file; it has no list of people")
    return people


def _triples(flat: Any, where: str, count: int) -> list[list[float]]:
    if flat == []:
        return [[0.0, 0.0, 0.0]] * count
    if not isinstance(flat, list) or len(flat) != 3 * count:
        size = len(flat) if isinstance(flat, list) else "no"
        raise FileFormatError(f"{where} has {size} numbers, expected {3 * count}")
    try:
        values = [float(v) for v in flat]
    except (TypeError, ValueError, OverflowError) as error:
        raise FileFormatError(f"{where} holds something that is no number") from error
    if not all(map(math.isfinite, values)):
        raise FileFormatError(f"{where} is not finite")
    return [values[i : i + 3] for i in range(0, len(values), 3)]


def _openpose_person(row: Tensor) -> dict[str, Any]:
    body, left, right, face = row.split((25, 20, 20, 70))
    left, right = torch.cat((body[7:8], left)), torch.cat((body[4:5], right))
    parts = zip(_OPENPOSE_PARTS, (body, left, right, face), strict=True)
    return {"person_id": [-1]} | {key: _flat(part) for key, part in parts}


def _coco_lists(path: str | Path, value: Any) -> tuple[list[Any], list[Any]]:
    images, annotations = (
        value.get(key) if isinstance(value, dict) else None for key in ("images", "annotations")
    )
    if not isinstance(images, list) or not isinstance(annotations, list) or not images:
        raise FileFormatError(f"{path} is no COCO file; it needs lists of images and annotations")
    return images, annotations


def _coco_rows(annotations: list[Any], place: dict[Any, int]) -> list[tuple[int, Any, Tensor]]:
    """Frame, track and `(133, 3)` of each annotation."""
    rows, met = [], dict.fromkeys(place, 0)
    for annotation in annotations:
        frame = place[annotation["image_id"]]
        track = annotation.get("track_id", met[annotation["image_id"]])
        met[annotation["image_id"]] += 1
        if len(annotation["keypoints"]) == 3 * _COCO_ALL:
            flat = annotation["keypoints"]
        else:
            flat = [v for k, n in _COCO_PARTS.items() for v in annotation.get(k, [0.0] * 3 * n)]
        rows.append((frame, track, torch.tensor(flat, dtype=torch.float32).reshape(_COCO_ALL, 3)))
    return rows


def _coco_times(images: list[Any], fps: float) -> Tensor:
    if all("timestamp" in image for image in images):
        return torch.tensor([float(i["timestamp"]) for i in images], dtype=torch.float64)
    return torch.arange(len(images), dtype=torch.float64) / fps


def _as_confidence(third: Tensor) -> Tensor:
    """COCO's flags (0 none, 1 hidden, 2 visible) to 0, 0.5, 1; confidences as they are."""
    return third / 2 if len(third) and float(third.max()) > 1 else third


def _coco_person(row: Tensor, box: Tensor) -> dict[str, Any]:
    parts = dict(zip(_COCO_PARTS, row.split(tuple(_COCO_PARTS.values())), strict=True))
    x0, y0, x1, y1 = box.tolist()
    size = [x1 - x0, y1 - y0]
    valid = {
        f"{k.removesuffix('_kpts')}_valid": bool((p[:, 2] > 0).any())
        for k, p in parts.items()
        if k != "keypoints"
    }
    keypoints = {key: _flat(part) for key, part in parts.items()}
    counts = {"num_keypoints": int((parts["keypoints"][:, 2] > 0).sum()), "iscrowd": 0}
    return keypoints | valid | counts | {"bbox": [x0, y0, *size], "area": size[0] * size[1]}


def _table(keypoints: Keypoints) -> Tensor:
    return torch.cat((keypoints.xy, keypoints.confidence[..., None]), -1).float().cpu()


def _flat(part: Tensor) -> list[float]:
    # Double, and only then rounded: a rounded float32 prints all its digits.
    return [round(v, 5) for v in part.double().reshape(-1).tolist()]


def _same_frames(people: list[Keypoints]) -> int:
    if not people:
        raise UsageError("no keypoints given; give those of at least one person")
    if any(len(p) != len(people[0]) for p in people):
        raise UsageError(f"people have different frame counts: {[len(p) for p in people]}")
    return len(people[0])
