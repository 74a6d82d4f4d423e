"""What is installed, what is missing and how to get it; what a file holds."""

from __future__ import annotations

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
SHIPPED = {"default body": "body/default.npz"}
"""What the wheel must hold, and where under `assets/`."""
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
    return f"lacks {', '.join(missing)}; pip install 'humanmotion[{name}]'"


def _shipped(path: str) -> str:
    try:
        return f"{asset(path)} ({asset(path).stat().st_size / 1e6:.1f} MB)"
    except HumanMotionError as error:
        return f"missing: {error}"


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
    problems += [text for text in parts["shipped"].values() if text.startswith("missing")]
    if _version("humanmotion") == "missing":
        problems.append("humanmotion itself is not installed (a bare checkout); pip install .")
    return problems
