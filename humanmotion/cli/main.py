"""Entry point: the table of commands, and the way every error reaches the user as one line.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 part of it failed, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

import humanmotion
from humanmotion.cli.bench import bench
from humanmotion.cli.convert import convert, convert_body
from humanmotion.cli.data import data
from humanmotion.cli.demo import demo
from humanmotion.cli.fit import fit
from humanmotion.cli.generate import generate
from humanmotion.cli.info import info
from humanmotion.cli.output import emit
from humanmotion.cli.reconstruct import reconstruct
from humanmotion.cli.score import score
from humanmotion.cli.train import train
from humanmotion.cli.view import view
from humanmotion.errors import HumanMotionError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
for command in (reconstruct, generate, view, convert, score, info, demo, bench):
    app.command()(command)
app.command("convert-body")(convert_body)
app.add_typer(fit, name="fit")
app.add_typer(train, name="train")
app.add_typer(data, name="data")


def _show_version(wanted: bool) -> None:
    if wanted:
        emit(f"humanmotion {humanmotion.__version__}")
        raise typer.Exit


@app.callback()
def describe(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """3D human motion from video: SMPL-X motion of people in one world."""


class _Terminated(BaseException):
    """SIGTERM arrived; no `except Exception` on the way may take it for an error."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code and lets no exception out."""
    _calm_libraries()
    _accept_any_text()
    try:
        with _sigterm_raises():
            return _run(arguments)
    except _Terminated:
        return _fail("terminated", 128 + signal.SIGTERM)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = typer.main.get_command(app).main(
            None if arguments is None else list(arguments),
            prog_name="humanmotion",
            standalone_mode=False,
        )
    except HumanMotionError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except OSError as error:
        return _fail(f"{error.filename or 'input or output'}: {error.strerror or error}", 1)
    except Exception as error:
        if _is_out_of_memory(error):
            return _fail("out of memory; a shorter or smaller input needs less", 1)
        return _fail(*_translate(error))
    if code == 130:
        return _fail("interrupted", 130)
    return code if isinstance(code, int) else 0


def _is_out_of_memory(error: Exception) -> bool:
    # torch and OpenCV raise their own errors, known by their words alone.
    text = str(error).lower()
    words = ("can't allocate memory", "out of memory", "insufficient memory", "bad_alloc")
    return isinstance(error, MemoryError) or any(word in text for word in words)


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """SIGTERM unwinds as Ctrl+C does, so that no temporary file stays behind."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def stop(*_signal: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _translate(error: Exception) -> tuple[str, int]:
    # typer's usage errors; their module has moved between its releases, their shape has not.
    text = getattr(error, "format_message", None)
    if text is not None:
        return f"{text().rstrip('.')}; see humanmotion --help", getattr(error, "exit_code", 2)
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    return f"internal error, please report it: {type(error).__name__}: {error} ({place})", 1


def _fail(text: str, code: int) -> int:
    print("humanmotion: error:", " ".join(text.split()), file=sys.stderr)
    return code


def _accept_any_text() -> None:
    # A path or a caption that the terminal cannot spell is escaped instead of ending the command.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _calm_libraries() -> None:
    # The detector's libraries write their own log to stderr; these are read when they load.
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
