"""The binary half of a GLB: arrays in, accessor numbers out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pygltflib as gl
from numpy.typing import NDArray

_COMPONENT = {
    np.dtype(np.float32): gl.FLOAT,
    np.dtype(np.uint8): gl.UNSIGNED_BYTE,
    np.dtype(np.uint16): gl.UNSIGNED_SHORT,
    np.dtype(np.uint32): gl.UNSIGNED_INT,
}
_KIND = {1: gl.SCALAR, 2: gl.VEC2, 3: gl.VEC3, 4: gl.VEC4, 16: gl.MAT4}
VERTICES, INDICES = gl.ARRAY_BUFFER, gl.ELEMENT_ARRAY_BUFFER


class GlbBuffer:
    """Collects arrays for one GLB file; every array starts at a multiple of 4 bytes."""

    def __init__(self, document: gl.GLTF2) -> None:
        self._document = document
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, array: NDArray[Any], *, target: int | None = None, bounds: bool = False) -> int:
        """Store `(n,)` or `(n, k)` numbers; returns the accessor's index.

        `bounds` writes the smallest and largest values, which glTF asks for positions and times.
        """
        array = np.ascontiguousarray(array)
        data = array.tobytes()
        view = gl.BufferView(buffer=0, byteOffset=self._size, byteLength=len(data), target=target)
        self._document.bufferViews.append(view)
        flat = array.reshape(len(array), -1)
        accessor = gl.Accessor(
            bufferView=len(self._document.bufferViews) - 1,
            componentType=_COMPONENT[array.dtype],
            count=len(flat),
            type=_KIND[flat.shape[1]],
        )
        if bounds:
            accessor.min, accessor.max = flat.min(0).tolist(), flat.max(0).tolist()
        self._document.accessors.append(accessor)
        self._parts += [data, b"\0" * (-len(data) % 4)]
        self._size += len(data) + (-len(data) % 4)
        return len(self._document.accessors) - 1

    def finish(self) -> bytes:
        """The whole GLB file."""
        self._document.buffers = [gl.Buffer(byteLength=self._size)]
        self._document.set_binary_blob(b"".join(self._parts))
        return b"".join(self._document.save_to_bytes())
