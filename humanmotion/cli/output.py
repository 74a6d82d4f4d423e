"""Results go to stdout, as text or as JSON; a reader that stops early is no error."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def emit(text: str) -> None:
    """Print one result on stdout."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The reader has what it wanted; the interpreter must not complain when it flushes again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def warn(text: str) -> None:
    """Print one line on stderr that is no result and no error."""
    print("humanmotion: note:", text, file=sys.stderr)


def emit_json(value: Any) -> None:
    """Print a result as JSON; paths become text."""
    emit(json.dumps(value, indent=1, default=str))


def emit_paths(files: Any, *, as_json: bool) -> None:
    """Print the paths that a dataclass of results holds, one line each or as a JSON object."""
    named = {field.name: getattr(files, field.name) for field in fields(files)}
    if as_json:
        emit_json(named)
        return
    for value in named.values():
        for path in value if isinstance(value, tuple) else (value,):
            if isinstance(path, Path) and not path.is_dir():
                emit(str(path))


def emit_rich(table: Table) -> None:
    """Print a table on stdout, as wide as the terminal, or wide enough for a file."""
    console = Console(file=io.StringIO(), width=None if sys.stdout.isatty() else 200)
    with console.capture() as written:
        console.print(table)
    emit("\n".join(line.rstrip() for line in written.get().rstrip().splitlines()))


def emit_table(rows: Mapping[str, Any]) -> None:
    """Print nested names and values, aligned, one line each."""
    emit("\n".join(_lines(rows)))


def _lines(rows: Mapping[str, Any]) -> list[str]:
    width = max((len(name) for name in rows), default=0)
    lines = []
    for name, value in rows.items():
        if isinstance(value, Mapping):
            lines += [name, *(f"  {line}" for line in _lines(value))]
        elif isinstance(value, list | tuple) and any(isinstance(item, str) for item in value):
            lines += [name, *(f"  {item}" for item in value)]
        else:
            text = f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e4 else str(value)
            text = "none" if value in (None, [], ()) else text
            lines.append(f"{name:<{width}}  {text}")
    return lines
