"""The public surface: sorted, complete, typed as it runs, and cheap to import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import humanmotion

SOURCE = ast.parse(Path(humanmotion.__file__).read_text(encoding="utf-8"))
REEXPORTED = {
    alias.name: node.module
    for node in ast.walk(SOURCE)
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
    if alias.asname == alias.name
}


def test_all_is_sorted_and_is_what_is_exported():
    assert sorted(humanmotion.__all__) == humanmotion.__all__
    assert {*REEXPORTED, "__version__"} == set(humanmotion.__all__) == set(dir(humanmotion))


@pytest.mark.parametrize("name", REEXPORTED)
def test_names_come_from_where_type_checkers_see_them(name):
    assert humanmotion._WHERE.get(name, "humanmotion.errors") == REEXPORTED[name]
    module = __import__(REEXPORTED[name], fromlist=[name])
    assert getattr(humanmotion, name) is getattr(module, name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = humanmotion.nothing


def test_importing_is_cheap_and_pulls_in_no_model():
    code = """
import sys, time
start = time.perf_counter()
import humanmotion
print(time.perf_counter() - start)
heavy = {"torch", "cv2", "mediapipe", "av", "moderngl", "viser", "scipy", "humanmotion.body"}
print(*sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, heavy = done.stdout.split("\n")[:2]
    assert float(seconds) < 0.3
    assert heavy == ""
