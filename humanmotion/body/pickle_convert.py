"""Body files that come as pickles (.pkl) to npz, without unpickling in this process.

A pickle is a program. It is run by `pickle_reader.py` in a process of its own that knows only the
names of arrays; this process reads the plain npz that comes out.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from humanmotion.body.smplx_file import MAX_BODY_BYTES, BodyArrays, read_body
from humanmotion.errors import BodyError
from humanmotion.files import existing_file, read_npz, write_npz

TIMEOUT_SECONDS = 120.0


def convert_pickle(
    source: str | Path, target: str | Path, *, overwrite: bool = False
) -> BodyArrays:
    """Write the SMPL-X, SMPL-H or SMPL pickle `source` as the npz `target`; returns its content.

    Raises BodyError when the pickle asks for anything but arrays or holds no body (nothing is
    written then); InputError when it is not there; OutputError when `target` cannot be written.
    """
    source = existing_file(source)
    with tempfile.TemporaryDirectory(prefix="humanmotion-") as folder:
        plain = Path(folder) / f"{Path(target).stem}.npz"
        _read_apart(source.resolve(), plain)
        read_body(plain)  # refuses what is no body before anything is written
        write_npz(target, read_npz(plain, max_bytes=MAX_BODY_BYTES), overwrite=overwrite)
    return read_body(target)


def _read_apart(source: Path, plain: Path) -> None:
    program = Path(__file__).with_name("pickle_reader.py")
    # -I: neither the working folder nor the environment can put a module of theirs before numpy.
    command = [sys.executable, "-I", str(program), str(source), str(plain)]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=TIMEOUT_SECONDS, check=False, cwd=plain.parent
        )
    except subprocess.TimeoutExpired as error:
        raise BodyError(
            f"{source} was still being read after {TIMEOUT_SECONDS:.0f} s; it is no body file"
        ) from error
    if done.returncode != 0 or not plain.exists():
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = said[-1] if said else f"its reader ended with code {done.returncode}"
        raise BodyError(
            f"{source} is not a pickled SMPL-X, SMPL-H or SMPL body: {why}; give the body file as "
            "its makers ship it"
        )
