"""What a GLB file holds, and whether it is whole; its scene is not read.

Source: Khronos glTF 2.0 specification, section 4 (GLB) and 3.11 (animations).
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

from humanmotion.errors import FileFormatError
from humanmotion.files import parse_json

Document = dict[str, Any]
MAX_JSON_BYTES = 64 << 20
_HEAD, _CHUNK = 12, 8
_LISTS = ("nodes", "meshes", "skins", "cameras", "animations", "accessors", "buffers")


def glb_facts(path: Path) -> dict[str, Any]:
    """Counts of nodes, meshes, skins and cameras, and the animation's length in seconds.

    Raises FileFormatError: sizes that do not agree (cut off), JSON that is no glTF.
    """
    document, binary = _document(path)
    for key in _LISTS:
        entries = document.setdefault(key, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise FileFormatError(f"{path} is a damaged GLB: {key} is no list of objects")
    needed = sum(_size(path, buffer) for buffer in document["buffers"] if "uri" not in buffer)
    if needed > binary:
        raise FileFormatError(
            f"{path} is a damaged GLB: its arrays need {needed} bytes and {binary} are there"
        )
    count = {key: len(document[key]) for key in ("nodes", "meshes", "skins", "cameras")}
    return count | {"duration_s": _duration(path, document), "axes": "y up, metres"}


def _document(path: Path) -> tuple[Document, int]:
    """The JSON, and how many bytes of arrays follow it."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD + _CHUNK)
        if len(head) < _HEAD + _CHUNK or head[:4] != b"glTF" or head[16:] != b"JSON":
            raise FileFormatError(f"{path} is not a GLB file")
        size, length = struct.unpack("<I", head[8:12])[0], struct.unpack("<I", head[12:16])[0]
        text = stream.read(min(length, MAX_JSON_BYTES))
        chunk = stream.read(_CHUNK)
    rest = size - _HEAD - _CHUNK - length
    binary = struct.unpack("<I", chunk[:4])[0] if len(chunk) == _CHUNK else 0
    whole = len(text) == length and size == path.stat().st_size
    if not whole or rest < 0 or (rest and rest < _CHUNK + binary):
        raise FileFormatError(f"{path} is a damaged GLB: its sizes do not agree; it is cut off")
    document = parse_json(text.decode("utf-8", "replace"), str(path))
    if not isinstance(document, dict):
        raise FileFormatError(f"{path} is a damaged GLB: no JSON object")
    return document, binary


def _size(path: Path, buffer: Document) -> int:
    size = buffer.get("byteLength")
    if not isinstance(size, int) or size < 0:
        raise FileFormatError(f"{path} is a damaged GLB: a buffer has no length")
    return size


def _duration(path: Path, document: Document) -> float:
    try:
        ends = [
            document["accessors"][sampler["input"]]["max"][0]
            for animation in document["animations"]
            for sampler in animation["samplers"]
        ]
    except (KeyError, IndexError, TypeError) as error:
        raise FileFormatError(f"{path} is a damaged GLB: {error!r}") from error
    for end in ends:
        if not isinstance(end, int | float) or not math.isfinite(end):
            raise FileFormatError(f"{path} is a damaged GLB: an animation ends at {str(end)[:40]}")
    return float(max(ends, default=0.0))
