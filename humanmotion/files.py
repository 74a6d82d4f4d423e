"""Safe reading, atomic writing, and where things lie. No other module opens files its own way.

Nothing here ever unpickles. Sizes are taken from headers and checked before memory is.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from humanmotion.errors import FileFormatError, InputError, OutputError

MAX_BYTES = 4 << 30
"""No file of ours comes near; a header that claims more is damaged or hostile."""
MAX_TEXT_BYTES = 64 << 20
"""Text that is held at once; as Python values it takes some twenty times that."""
MAX_LINE_CHARACTERS = 1 << 20
MAX_HEADER_BYTES = 1 << 16
"""Of one npy member; numpy's own take some hundred bytes."""
SMALLEST_NUMBER_BYTES = 4
"""Numbers become float32 at least: one byte in a file is four in memory."""

MAX_TENSOR_BYTES = 16 << 30
MAX_SUFFIX = 16

Array = NDArray[Any]

_DAMAGE = (
    *(ValueError, SyntaxError, tokenize.TokenError, EOFError, OSError, zlib.error),
    *(RuntimeError, MemoryError),  # an unknown compression, a password, a header nested too deep
)
"""What zipfile and numpy raise on a damaged, encrypted or hostile member."""


def existing_file(path: str | Path) -> Path:
    """The path, if a readable, non-empty regular file lies there; raises InputError otherwise."""
    path = Path(path)
    try:
        if not path.exists():
            raise InputError(f"{path} does not exist; give the path of a file")
        if not path.is_file():
            raise InputError(f"{path} is not a file; give the path of a file")
        with path.open("rb") as stream:
            if not stream.read(1):
                raise FileFormatError(f"{path} is empty (0 bytes)")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return path


def read_npz(
    path: str | Path, *, keys: Collection[str] | None = None, max_bytes: int | None = None
) -> dict[str, Array]:
    """Arrays of an npz file, object arrays refused.

    With `keys`, only those (of them, the ones that exist) are read and others are never looked at,
    so files with odd extra members open. Raises FileFormatError: not an npz, damaged, an object
    array among the members to read, or headers that claim more than `max_bytes` in all
    (default MAX_BYTES), numbers of one or two bytes counted as the float32 they become.
    """
    path = existing_file(path)
    budget = MAX_BYTES if max_bytes is None else max_bytes
    out: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                key = name.removesuffix(".npy")
                if not name.endswith(".npy") or (keys is not None and key not in keys):
                    continue
                budget -= _claimed_bytes(archive, name, path)
                if budget < 0:
                    raise FileFormatError(
                        f"{path}: {key} claims to unpack to more than is accepted; "
                        "the file is damaged or hostile"
                    )
                with archive.open(name) as member:
                    out[key] = np.lib.format.read_array(member, allow_pickle=False)
    except zipfile.BadZipFile as error:
        raise FileFormatError(f"{path} is not an npz file, or is damaged") from error
    except _DAMAGE as error:
        raise FileFormatError(f"{path} is damaged: {error}") from error
    return out


def npz_shapes(path: str | Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype of every member, from the headers alone: `{key: (shape, dtype)}`."""
    path = existing_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith(".npy")]
            headers = {n.removesuffix(".npy"): _header(archive, n) for n in names}
    except (zipfile.BadZipFile, *_DAMAGE) as error:
        raise FileFormatError(f"{path} is not an npz file, or is damaged") from error
    return {key: (shape, str(dtype)) for key, (shape, dtype) in headers.items()}


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with archive.open(name) as stream:
        # Copied out, because numpy would read whatever length the member states.
        size_bytes = 2 if (version := np.lib.format.read_magic(stream)) == (1, 0) else 4
        prefix = stream.read(size_bytes)
        length = int.from_bytes(prefix, "little")
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"the header of {name[:60]!r} claims {length} bytes")
        member = io.BytesIO(prefix + stream.read(length))
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(member)
    return shape, dtype


def _claimed_bytes(archive: zipfile.ZipFile, name: str, path: Path) -> int:
    shape, dtype = _header(archive, name)
    if dtype.hasobject:
        raise FileFormatError(
            f"{path}: {name.removesuffix('.npy')} holds Python objects, which are never loaded "
            "because they can run code; save plain numeric arrays instead"
        )
    size = dtype.itemsize
    return math.prod(shape) * (max(size, SMALLEST_NUMBER_BYTES) if dtype.kind in "biuf" else size)


def write_npz(path: str | Path, arrays: Mapping[str, Array], *, overwrite: bool = True) -> None:
    """Write a compressed npz atomically; the same arrays give the same bytes."""
    with (
        atomic_path(path, overwrite=overwrite) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for key, value in arrays.items():
            array = np.asarray(value, order="C")
            # A fixed date: the clock would make every file differ.
            info = zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            # Told the size, so that the header has room for it; array by array nothing is copied.
            info.file_size = array.nbytes
            with archive.open(info, "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read_tensors(path: str | Path, *, max_bytes: int = MAX_TENSOR_BYTES) -> dict[str, Tensor]:
    """Named tensors of a safetensors file; raises InputError, FileFormatError as `read_npz` does."""
    path = existing_file(path)
    if path.stat().st_size > max_bytes:
        raise FileFormatError(f"{path} is larger than {max_bytes >> 20} MiB, the most that is read")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, ValueError) as error:
        raise FileFormatError(f"{path} is no safetensors file, or damaged: {error}") from error
    return tensors


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], *, overwrite: bool = True
) -> None:
    """Write named tensors as safetensors, atomically; the same tensors give the same bytes."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        save_file({name: tensors[name] for name in sorted(tensors)}, temporary)


def read_text(path: str | Path, *, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """A UTF-8 text file's content; raises FileFormatError when too large or not text."""
    path = _small_enough(path, max_bytes)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} is not a text file (UTF-8)") from error


def read_lines(path: str | Path, *, max_bytes: int = MAX_TEXT_BYTES) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line of a UTF-8 file, one at a time, without its end.

    Raises FileFormatError when the file or one of its lines is too large, or it is not text.
    """
    path = _small_enough(path, max_bytes)
    try:
        with path.open(encoding="utf-8-sig") as stream:
            number = 0
            while line := stream.readline(MAX_LINE_CHARACTERS):
                number += 1
                if len(line) == MAX_LINE_CHARACTERS:
                    raise FileFormatError(
                        f"{path} line {number} is longer than {MAX_LINE_CHARACTERS} characters"
                    )
                yield number, line.removesuffix("\n")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} is not a text file (UTF-8)") from error


def _small_enough(path: str | Path, max_bytes: int) -> Path:
    path = existing_file(path)
    size = path.stat().st_size
    if size > max_bytes:
        raise FileFormatError(f"{path} has {size} bytes; at most {max_bytes} are accepted")
    return path


def read_json(path: str | Path, *, max_bytes: int = MAX_TEXT_BYTES) -> Any:
    """A JSON file's content; raises FileFormatError when it is not JSON or nested too deep."""
    return parse_json(read_text(path, max_bytes=max_bytes), str(path))


def parse_json(text: str, where: str) -> Any:
    """The value of JSON text; raises FileFormatError, which calls the text `where`."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise FileFormatError(f"{where} is nested too deep to be real data") from error
    except ValueError as error:
        raise FileFormatError(f"{where} is not JSON: {error}") from error


def write_text(path: str | Path, text: str, *, overwrite: bool = True) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Any, *, overwrite: bool = True) -> None:
    """Write JSON (numbers finite, keys in the order given) atomically."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n", overwrite=overwrite)


@contextmanager
def atomic_path(path: str | Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it when the block ends well, else removed.

    A symbolic link stays one: what it points to is replaced. Raises OutputError: the target exists
    and `overwrite` is false, its folder cannot be made or written, or the disk is full.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    # The suffix is kept: writers of video and zip files choose the container by it.
    suffix = target.suffix if len(target.suffix) <= MAX_SUFFIX else ""
    try:
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already; pass --overwrite or name another output")
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".part-", suffix=suffix, dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def writable_folder(path: str | Path) -> Path:
    """The folder, made if need be; raises OutputError when it cannot be written to."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise OutputError(f"folder {path} cannot be written: {error.strerror}") from error


def sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with existing_file(path).open("rb") as stream:
        return hashlib.file_digest(cast(Any, stream), "sha256").hexdigest()


def asset(name: str) -> Path:
    """Path of a file in the shipped `assets/` folder; raises InputError when it is not there."""
    packaged = Path(str(resources.files("humanmotion"))) / "assets" / name
    checkout = Path(__file__).parent.parent / "assets" / name
    for path in (packaged, checkout):
        if path.exists():
            return path
    raise InputError(f"the shipped file assets/{name} is missing; install humanmotion again")


def cache_dir() -> Path:
    """Where downloads and caches go: HUMANMOTION_CACHE, or the user's cache folder."""
    if given := os.environ.get("HUMANMOTION_CACHE"):
        return Path(given)
    # Set but empty counts as unset, says the XDG base directory specification.
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "humanmotion"
