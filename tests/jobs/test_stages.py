"""Stage files: what is kept, when it is taken back, and that a broken one is only redone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from humanmotion.errors import OutputError, UsageError
from humanmotion.files import read_npz, write_npz
from humanmotion.jobs.stage_codec import load_value, save_value
from humanmotion.jobs.stages import StageRunner, silent


@dataclass(frozen=True)
class Inner:
    numbers: torch.Tensor
    name: str | None


@dataclass(frozen=True)
class Outer:
    parts: tuple[Inner, ...]
    notes: dict[str, float]
    table: np.ndarray


VALUE = Outer((Inner(torch.eye(2), "a"), Inner(torch.zeros(0, 3), None)), {"x": 1.5}, np.arange(3))


def _runner(folder: Path, key: str = "video", redo: str | None = None) -> StageRunner:
    return StageRunner(folder, key, redo, silent)


def _count(runner: StageRunner, calls: list[str], stage: str, **settings: object) -> Outer:
    def compute() -> Outer:
        calls.append(stage)
        return VALUE

    return runner.run(stage, compute, settings=settings, classes=(Inner, Outer))


def test_a_value_survives_the_file(tmp_path: Path) -> None:
    save_value(tmp_path / "v.npz", VALUE, key="k")
    back = load_value(tmp_path / "v.npz", key="k", classes=(Inner, Outer))
    assert isinstance(back, Outer)
    assert torch.equal(back.parts[0].numbers, torch.eye(2)) and back.parts[1].name is None
    assert back.parts[1].numbers.shape == (0, 3) and back.notes == {"x": 1.5}
    assert np.array_equal(back.table, VALUE.table)
    assert load_value(tmp_path / "v.npz", key="other", classes=(Inner, Outer)) is None


def test_same_settings_are_not_computed_twice(tmp_path: Path) -> None:
    calls: list[str] = []
    for _ in range(2):
        runner = _runner(tmp_path)
        _count(runner, calls, "people", a=1)
        _count(runner, calls, "shots", b=2)
    assert calls == ["people", "shots"]


@pytest.mark.parametrize(
    ("key", "a", "redo", "expected"),
    [
        ("video", 2, None, ["people", "shots"]),  # an earlier stage's settings changed
        ("other", 1, None, ["people", "shots"]),  # another video
        ("video", 1, "shots", ["shots"]),  # asked for
        ("video", 1, "people", ["people", "shots"]),
    ],
)
def test_what_changed_is_computed_again(
    tmp_path: Path, key: str, a: int, redo: str | None, expected: list[str]
) -> None:
    first = _runner(tmp_path)
    _count(first, [], "people", a=1)
    _count(first, [], "shots", b=2)
    calls: list[str] = []
    second = _runner(tmp_path, key, redo)
    _count(second, calls, "people", a=a)
    _count(second, calls, "shots", b=2)
    assert calls == expected


def test_a_damaged_stage_file_is_redone(tmp_path: Path) -> None:
    _count(_runner(tmp_path), [], "people")
    file = next(tmp_path.glob("*_people.npz"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    calls: list[str] = []
    _count(_runner(tmp_path), calls, "people")
    assert calls == ["people"]


@pytest.mark.parametrize(
    "text",
    [
        "[]", '{"tree": 3}', '{"key": KEY, "tree": {"class": "Nobody", "fields": {}}}',
        '{"key": KEY, "tree": {"tensor": "a7"}}', '{"key": KEY}', '{"key": KEY, "tree": {"x": 1}}',
        '{"key": KEY, "tree": {"dict": 3}}', '{"key": KEY, "tree": {"tuple": 3}}',
    ],
)  # fmt: skip
def test_a_stage_file_of_odd_content_is_redone(tmp_path: Path, text: str) -> None:
    _count(_runner(tmp_path), [], "people")
    file = next(tmp_path.glob("*_people.npz"))
    key = json.loads(str(read_npz(file)["tree"]))["key"]
    write_npz(file, {"tree": np.array(text.replace("KEY", json.dumps(key)))})
    calls: list[str] = []
    _count(_runner(tmp_path), calls, "people")
    assert calls == ["people"]


def test_an_unknown_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="people, shots"):
        _runner(tmp_path, redo="dancing")


def test_a_value_is_read_again_unless_its_file_has_gone(tmp_path) -> None:
    runner = _runner(tmp_path)
    runner.run("people", lambda: VALUE, settings={"a": 1}, classes=(Outer, Inner))
    again = runner.again("people", classes=(Outer, Inner))
    assert torch.equal(again.parts[0].numbers, VALUE.parts[0].numbers) and again is not VALUE
    (tmp_path / "1_people.npz").unlink()
    with pytest.raises(OutputError, match=r"1_people\.npz was removed or changed during the run"):
        runner.again("people", classes=(Outer, Inner))
