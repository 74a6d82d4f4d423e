"""Bare joints in an npy file, as MBench's submissions are: `(T, J, 3)`, or a dict with `joints`.

numpy keeps a dict as a pickle. It is never unpickled: its opcodes are walked here, and only text,
numbers, containers and plain arrays come of them; whatever else it asks for is refused.
"""

from __future__ import annotations

import math
import pickletools
import tokenize
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.errors import FileFormatError
from humanmotion.files import existing_file
from humanmotion.motion import MAX_FRAMES

KEY = "joints"
MAX_BYTES = 1 << 30
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy")
_MARK = object()
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list}
_VALUES = frozenset(
    "BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES "
    "SHORT_BINBYTES BINBYTES8".split()
)
_DAMAGE = (
    *(ValueError, SyntaxError, tokenize.TokenError, EOFError, MemoryError),
    *(IndexError, TypeError, KeyError, AttributeError, OverflowError, RuntimeError),
)
"""What a damaged header makes of numpy's reader, and a damaged pickle of the walk below."""


def read_joints_npy(path: str | Path) -> Tensor:
    """The joints `(T, J, 3)` of an npy file, float64, in the file's own units and axes.

    Raises FileFormatError: no npy file, damaged, too large, a dict without `joints` or with objects
    other than arrays, another shape, or numbers that are not finite (naming the frame).
    """
    path = existing_file(path)
    if path.stat().st_size > MAX_BYTES:
        raise FileFormatError(f"{path} is larger than {MAX_BYTES >> 20} MiB, the most that is read")
    joints = _array(path)
    if joints.dtype.kind not in "fiu" or joints.ndim != 3 or joints.shape[-1] != 3:
        raise FileFormatError(
            f"{path} holds {joints.dtype} of shape {joints.shape}; expected joints (T, 22, 3) in metres"
        )
    if not 1 <= len(joints) <= MAX_FRAMES:
        raise FileFormatError(f"{path} has {len(joints)} frames; 1 to {MAX_FRAMES} are read")
    found = torch.from_numpy(joints.astype(np.float64))
    bad = (~found.isfinite()).flatten(1).any(-1)
    if bad.any():
        raise FileFormatError(f"{path}: joints are not finite at frame {int(bad.nonzero()[0])}")
    return found


def _array(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, fortran, dtype = read(stream)
            if dtype.hasobject:
                return _of_dict(_walk(stream.read()), path)
            if math.prod(shape) * dtype.itemsize != path.stat().st_size - stream.tell():
                raise FileFormatError(f"{path} is damaged: its size is not what its header says")
            flat: NDArray[Any] = np.frombuffer(stream.read(), dtype)
            return flat.reshape(shape, order="F" if fortran else "C")
    except _DAMAGE as error:
        raise FileFormatError(f"{path} is no npy file of numbers, or damaged: {error}") from error


def _of_dict(content: Any, path: Path) -> NDArray[Any]:
    if isinstance(content, _Array) and content.shape == () and isinstance(content.data, list):
        content = content.data[0]
    if not isinstance(content, dict) or KEY not in content:
        keys = (
            ", ".join(sorted(str(k)[:30] for k in content)[:6]) if isinstance(content, dict) else ""
        )
        raise FileFormatError(
            f"{path} holds no array and no dict with {KEY!r} ({keys or 'no keys'})"
        )
    found = content[KEY]
    if not isinstance(found, _Array) or not isinstance(found.data, bytes) or found.dtype is None:
        raise FileFormatError(f"{path}: {KEY!r} is no plain array; save it as numpy numbers")
    flat: NDArray[Any] = np.frombuffer(found.data, found.dtype)
    return flat.reshape(found.shape, order="F" if found.fortran else "C")


@dataclass
class _Name:
    """A function or class that a pickle asks for; nothing here ever calls it."""

    name: str


@dataclass
class _Dtype:
    code: str
    order: str = "="

    def set(self, state: Any) -> None:
        self.order = str(state[1])

    def build(self) -> np.dtype[Any]:
        kind = np.dtype(self.code)
        return kind.newbyteorder("<" if self.order == "<" else ">") if self.order in "<>" else kind


@dataclass
class _Array:
    """An array as its pickle describes it."""

    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] | None = None
    fortran: bool = False
    data: bytes | list[Any] = field(default=b"")

    def set(self, state: Any) -> None:
        _, shape, dtype, self.fortran, self.data = state
        self.shape = tuple(int(size) for size in shape)
        kind = cast(_Dtype, dtype)
        self.dtype = None if kind.code.startswith("O") else kind.build()


def _walk(data: bytes) -> Any:
    """What a pickle holds; raises ValueError for anything but containers, numbers and arrays."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in ("PROTO", "FRAME"):
            continue
        if name == "STOP":
            return stack.pop()
        if name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
            memo[len(memo) if argument is None else int(argument)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[int(cast(int, argument))])
        elif name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            count = _TUPLES[name]
            stack[len(stack) - count :] = [tuple(stack[len(stack) - count :])]
        elif name == "MARK":
            stack.append(_MARK)
        else:
            _step(name, argument, stack)
    raise ValueError("it ends too early")


def _step(name: str, argument: Any, stack: list[Any]) -> None:
    """One opcode that takes something off the stack."""
    if name == "TUPLE":
        stack.append(tuple(_marked(stack)))
    elif name in ("GLOBAL", "STACK_GLOBAL"):
        words = str(argument).split(" ") if name == "GLOBAL" else [str(x) for x in _taken(stack, 2)]
        stack.append(_named(*words))
    elif name == "REDUCE":
        asked, given = _taken(stack, 2)
        stack.append(_made(asked, given))
    elif name == "BUILD":
        state = stack.pop()
        stack[-1].set(state)
    elif name in ("SETITEM", "SETITEMS"):
        items = _taken(stack, 2) if name == "SETITEM" else _marked(stack)
        stack[-1].update(zip(items[::2], items[1::2], strict=True))
    elif name in ("APPEND", "APPENDS"):
        items = _taken(stack, 1) if name == "APPEND" else _marked(stack)
        stack[-1].extend(items)
    else:
        raise ValueError(f"its dict holds more than arrays, numbers and text ({name.lower()})")


def _named(module: str, name: str) -> _Name:
    if (module in _NUMPY and name in ("_reconstruct", "ndarray", "dtype", "scalar")) or (
        module == "_codecs" and name == "encode"
    ):
        return _Name(name)
    raise ValueError(f"it asks for {module[:40]}.{name[:40]}, which is not run; save plain arrays")


def _made(asked: Any, given: Any) -> Any:
    name = cast(_Name, asked).name
    if name == "_reconstruct":
        return _Array()
    if name == "dtype":
        return _Dtype(str(given[0]))
    if name == "scalar":
        return None
    if name == "encode":
        # Protocol 2 spells bytes as text.
        return str(given[0]).encode("latin1")
    raise ValueError(f"it calls {name}")


def _marked(stack: list[Any]) -> list[Any]:
    at = max(i for i, value in enumerate(stack) if value is _MARK)
    taken = stack[at + 1 :]
    del stack[at:]
    return taken


def _taken(stack: list[Any], count: int) -> list[Any]:
    taken = stack[len(stack) - count :]
    if len(taken) < count:
        raise IndexError("it takes more than there is")
    del stack[len(stack) - count :]
    return taken
