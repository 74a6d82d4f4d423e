"""What is installed, what is missing and how to get it; what a file holds."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import humanmotion
from humanmotion.body import BodyModel
from humanmotion.errors import HumanMotionError
from humanmotion.files import asset, cache_dir
from humanmotion.io.describe import describe

LIBRARIES = ("torch", "numpy", "scipy", "roma", "mediapipe", "av", "moderngl", "viser")
SHIPPED = {
    "default body": "body/default.npz",
    "pose statistics": "pose_statistics.npz",
    "pose prior": "prior/prior.safetensors",
}
"""What the wheel must hold, and where under `assets/`."""
DETECTOR_MODELS = (
    "pose_detection/pose_detection", "pose_landmark/pose_landmark_full",
    "holistic_landmark/hand_recrop", "hand_landmark/hand_landmark_full",
    "face_detection/face_detection_short_range", "face_landmark/face_landmark",
)  # fmt: skip
"""Models that the detector opens, and where under `modules/` of mediapipe's wheel."""
CV2_PREFIX = "opencv-"


def describe_file(path: str | Path, *, body: str | Path | None = None) -> dict[str, Any]:
    """What a file is: format, shapes, fps, axes, body, problems found.

    `body` is the one its feet are measured with. Raises InputError when the file is not there or is
    none of the formats known.
    """
    return describe(path, body=BodyModel.load(body) if body is not None else None)


def describe_installation() -> dict[str, Any]:
    """Versions, devices, extras, shipped files, and under `problems` what to do about the rest."""
    parts: dict[str, Any] = {
        "humanmotion": humanmotion.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "libraries": {name: _version(name) for name in (*LIBRARIES, *_cv2_distributions())},
        "devices": _devices(),
        "extras": {name: _extra(name, needs) for name, needs in _extras().items()},
        "shipped": {name: _shipped(path) for name, path in SHIPPED.items()},
        "detector": _detector(),
        "cache folder": str(cache_dir()),
    }
    return parts | {"problems": _problems(parts)}


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "missing"


def _devices() -> dict[str, str]:
    devices = {"cpu": f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"}
    for index in range(torch.cuda.device_count()):
        devices[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple GPU"
    return devices


def _cv2_distributions() -> list[str]:
    names = (dist.metadata["Name"] for dist in metadata.distributions())
    return sorted({name for name in names if name and name.lower().startswith(CV2_PREFIX)})


def _extras() -> dict[str, list[str]]:
    """Distributions of each extra, from the package's own metadata; none in a bare checkout."""
    try:
        requirements = metadata.requires("humanmotion") or []
    except metadata.PackageNotFoundError:
        return {}
    extras: dict[str, list[str]] = {}
    for line in requirements:
        if found := re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", line):
            extras.setdefault(found[2], []).append(found[1])
    return extras


def _extra(name: str, needs: list[str]) -> str:
    missing = [need for need in needs if _version(need) == "missing"]
    if not missing:
        return "installed"
    return f"lacks {', '.join(missing)}; pip install '.[{name}]' in the checkout"


def _shipped(path: str) -> str:
    try:
        return f"{asset(path)} ({asset(path).stat().st_size / 1e6:.1f} MB)"
    except HumanMotionError as error:
        return f"missing: {error}"


def _detector() -> str:
    """Whether the models lie in mediapipe's folder; nothing is imported or loaded."""
    found = importlib.util.find_spec("mediapipe")
    if found is None or not found.submodule_search_locations:
        return "missing: mediapipe is not installed; pip install humanmotion again"
    folder = Path(found.submodule_search_locations[0]) / "modules"
    lost = [name for name in DETECTOR_MODELS if not (folder / f"{name}.tflite").is_file()]
    if lost:
        return f"missing: {', '.join(lost)} in {folder}; pip install mediapipe again"
    return f"{len(DETECTOR_MODELS)} models in {folder}"


def _problems(parts: dict[str, Any]) -> list[str]:
    cv2 = _cv2_distributions()
    problems = [
        f"{name} is missing; pip install humanmotion again"
        for name, version in parts["libraries"].items()
        if version == "missing"
    ]
    if len(cv2) != 1:
        problems.append(
            f"{len(cv2)} packages bring cv2 ({', '.join(cv2) or 'none'}) and overwrite each other; "
            "pip uninstall them all, then pip install humanmotion again"
        )
    parts_with_files = (*parts["shipped"].values(), parts["detector"])
    problems += [text for text in parts_with_files if text.startswith("missing")]
    if _version("humanmotion") == "missing":
        problems.append("humanmotion itself is not installed (a bare checkout); pip install .")
    return problems
