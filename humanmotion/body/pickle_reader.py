"""Run as a program of its own: turn a pickled body file into an npz, trusting nothing in it.

    python -I pickle_reader.py IN.pkl OUT.npz

Only this process ever unpickles, and it can build nothing but numpy arrays, scipy's sparse
matrices and chumpy's array nodes; both of the latter as inert boxes whose numbers are taken out.
It imports nothing of the package. Exit code 0; or 1 with one line on stderr.
"""

from __future__ import annotations

import codecs
import pickle  # noqa: TID251 - the one place that reads pickles, and only through a whitelist
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_NUMBERS = 1 << 28
"""Largest array that a sparse matrix may be spread into; SMPL-X needs 2 million."""


class Box:
    """Stands in for an instance of a library's class: keeps its state, does nothing."""

    def __init__(self, *args: object) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        # Python 2 wrote (dict, slots) pairs for some classes.
        content = state[0] if isinstance(state, tuple) and state else state
        self.state = dict(content) if isinstance(content, dict) else {}


class SparseBox(Box):
    """A compressed sparse matrix."""


class ChumpyBox(Box):
    """A node of chumpy's graph; `Ch` (an array) and `Select` (some of another's) have numbers."""


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes in encoding {encoding!r}")
    return codecs.encode(text, "latin1")


def _rebuild(kind: type, base: type, state: object) -> object:
    # Old-protocol instances of classes without state of their own arrive this way.
    if not (isinstance(kind, type) and issubclass(kind, Box) and base is object and state is None):
        raise pickle.UnpicklingError("an object that is no array")
    return kind()


_MULTIARRAY: Any = import_module("numpy._core.multiarray")
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    ("copy_reg", "_reconstructor"): _rebuild,
    ("copyreg", "_reconstructor"): _rebuild,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _ALLOWED[_module, "_reconstruct"] = _MULTIARRAY._reconstruct
    _ALLOWED[_module, "scalar"] = _MULTIARRAY.scalar
for _name in ("csc", "csr"):
    for _module in (f"scipy.sparse.{_name}", f"scipy.sparse._{_name}"):
        _ALLOWED[_module, f"{_name}_matrix"] = type(f"{_name}_box", (SparseBox,), {"by": _name})
for _module in ("__builtin__", "builtins"):
    _ALLOWED[_module, "object"] = object
    _ALLOWED[_module, "set"] = set  # part of the bookkeeping that chumpy's nodes carry


class Reader(pickle.Unpickler):
    """An unpickler that knows only the names above."""

    def find_class(self, module: str, name: str) -> Any:
        """The whitelisted stand-in; raises UnpicklingError for any other name."""
        if module.split(".")[0] == "chumpy":
            return ChumpyBox
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no body file needs")
        return _ALLOWED[module, name]


def numbers(value: object) -> NDArray[Any] | None:
    """The plain array in a value, or None when it is none (a string, a list of names)."""
    if isinstance(value, SparseBox):
        return _spread(value)
    if isinstance(value, ChumpyBox):
        return _chumpy(value)
    if isinstance(value, (np.ndarray, np.generic, int, float)):
        array = np.asarray(value)
        # Body models compute in float32; doubles would only make the file twice as large.
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        return array if array.dtype.kind in "biuf" else None
    return None


def _chumpy(box: ChumpyBox) -> NDArray[Any] | None:
    if "x" in box.state:
        return numbers(box.state["x"])
    source, chosen = numbers(box.state.get("a")), numbers(box.state.get("idxs"))
    if source is None or chosen is None:
        return None
    picked = source.reshape(-1)[chosen.astype(np.int64)]
    shape = box.state.get("preferred_shape")
    return picked if shape is None else picked.reshape([int(size) for size in shape])


def _spread(box: SparseBox) -> NDArray[Any]:
    data, indices, starts = (numbers(box.state[key]) for key in ("data", "indices", "indptr"))
    rows, columns = (int(size) for size in box.state.get("_shape", box.state.get("shape", ())))
    if data is None or indices is None or starts is None or not 0 < rows * columns <= MAX_NUMBERS:
        raise ValueError("a sparse matrix in it is damaged")
    by_column = getattr(box, "by", "csc") == "csc"
    out = np.zeros((columns, rows) if by_column else (rows, columns))
    major = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    np.add.at(out, (major, indices), data)
    return out.T if by_column else out


def limit_memory(gibibytes: int) -> None:
    """Let a pickle that asks for the moon fail alone; not every system can."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (gibibytes << 30, gibibytes << 30))


def main(source: str, target: str) -> int:
    """Read, keep what is numbers, write; the exit code."""
    limit_memory(8)
    try:
        with Path(source).open("rb") as stream:
            content = Reader(stream, encoding="latin1").load()
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}, not a table of arrays")
        found = {key: numbers(value) for key, value in content.items() if isinstance(key, str)}
        arrays: dict[str, Any] = {key: array for key, array in found.items() if array is not None}
        if not arrays:
            raise ValueError("it holds no arrays")
        np.savez(target, allow_pickle=False, **arrays)
    # A hostile pickle can raise anything at all; whatever it was, it is refused.
    except Exception as error:
        sys.stderr.write(" ".join(str(error).split())[:300] or type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
