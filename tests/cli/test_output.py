"""Results as text and as JSON say the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from humanmotion.cli.output import emit_json, emit_paths, emit_table


@dataclass(frozen=True)
class Files:
    folder: Path
    motions: tuple[Path, ...]
    report: Path


def test_paths(capsys, tmp_path):
    files = Files(tmp_path, (tmp_path / "a.npz", tmp_path / "b.npz"), tmp_path / "r.html")
    emit_paths(files, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [str(tmp_path / name) for name in ("a.npz", "b.npz", "r.html")]
    emit_paths(files, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["motions"] == lines[:2] and found["folder"] == str(tmp_path)


def test_table(capsys):
    emit_table(
        {
            "a": 1 / 3,
            "nested": {"bb": True, "c": "x"},
            "list": ["p q", "r"],
            "size": [1, 2],
            "zero": 0,
            "no": [],
        }
    )
    assert capsys.readouterr().out.splitlines() == [
        "a       0.3333",
        "nested",
        "  bb  True",
        "  c   x",
        "list",
        "  p q",
        "  r",
        "size    [1, 2]",
        "zero    0",
        "no      none",
    ]


def test_json_writes_paths_as_text(capsys):
    emit_json({"x": Path("a/b")})
    assert json.loads(capsys.readouterr().out) == {"x": "a/b"}
