"""Results go to stdout, as text or as JSON; a reader that stops early is no error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any


def emit(text: str) -> None:
    """Print one result on stdout."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The reader has what it wanted; the interpreter must not complain when it flushes again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def emit_table(rows: Mapping[str, Any], *, indent: int = 0) -> None:
    """Print nested names and values, aligned, one line each."""
    width = max((len(name) for name in rows), default=0)
    for name, value in rows.items():
        if isinstance(value, Mapping):
            emit(" " * indent + name)
            emit_table(value, indent=indent + 2)
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        emit(f"{' ' * indent}{name:<{width}}  {text}".rstrip())
