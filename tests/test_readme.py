"""README and docs say what is so: commands exist, links lead somewhere, snippets run."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest
import torch

import humanmotion
from humanmotion.cli.main import main
from humanmotion.files import writable_folder

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
GROUPS = ("fit", "train", "data")
"""Commands that have commands of their own."""
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
class TestEveryPage:
    def test_links_lead_to_files(self, page):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if not target.startswith(("http", "mailto:")):
                assert (page.parent / target).exists(), target

    def test_commands_exist_and_know_their_options(self, page, capsys):
        text = page.read_text(encoding="utf-8")
        for command, rest in re.findall(r"\bhumanmotion ([a-z-]+)([^`\n&]*)", _code(text)):
            words = (
                [command, *re.findall(r"^ ([a-z][a-z-]*)", rest)]
                if command in GROUPS
                else [command]
            )
            assert main([*words, "--help"]) == 0, words
            known = capsys.readouterr().out
            for option in re.findall(r"(?<!\S)-{1,2}[a-z-]+", rest):
                assert option in known, f"humanmotion {command} {option}"

    def test_python_names_exist(self, page):
        for source in blocks(page, "python"):
            compile(source, name_of(page), "exec")
            imported = re.findall(r"from (humanmotion[\w.]*) import ([\w, ]+)", source)
            for module, names in imported:
                for name in re.split(r",\s*", names):
                    assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
            rest = re.sub(r"from humanmotion[\w.]* import", "", source)
            for name in re.findall(r"\bhumanmotion\.(\w+)", rest):
                assert name in humanmotion.__all__, name

    def test_speaks_of_the_project_only(self, page):
        for word in (r"/(home|root|tmp)/", r"\bfile://", r"\bTODO\b"):
            assert not re.search(word, page.read_text(encoding="utf-8")), word


def _code(text: str) -> str:
    """Command-line blocks and inline code, one piece a line."""
    pieces = re.findall(r"```bash\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
    return "\n".join(pieces)


def test_two_commands_need_nothing_before_them():
    commands = re.findall(r"^pip install .* && .*$", README, re.MULTILINE)
    assert commands == ["pip install . && humanmotion demo", 'pip install ".[dev]" && pytest']
    assert README.index(commands[0]) < README.index("## Your own video")


def test_python_versions_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11,<3.13"
    assert "Python 3.11 or 3.12" in README


def test_stages_are_those_of_the_job():
    from humanmotion.jobs.stages import STAGES

    page = (ROOT / "docs" / "reconstruct.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \|", page.split("## Stages")[1], re.MULTILINE)
    assert rows == ["stage", *STAGES]


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_snippets_run(page, tmp_path, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    rotvec = 0.1 * torch.randn(4, 55, 3, generator=generator)
    motion = humanmotion.Motion.create(rotvec, torch.zeros(4, 3), fps=30)
    humanmotion.write_motion(writable_folder(tmp_path / "result") / "motion.npz", motion)
    monkeypatch.chdir(tmp_path)
    [source] = blocks(ROOT / page, "python")
    names: dict[str, object] = {}
    exec(compile(source, page, "exec"), names)
    found = names["joints"] if "joints" in names else names["output"].joints
    assert found.shape[1:] == (55, 3)
