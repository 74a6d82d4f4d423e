"""The stages of a reconstruction: kept in files, found again by what they were computed from."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from humanmotion.errors import OutputError, UsageError
from humanmotion.files import writable_folder
from humanmotion.jobs.stage_codec import load_value, save_value
from humanmotion.memory import give_back

STAGES = ("people", "shots", "camera", "pose", "world", "export")
"""In order; each depends on those before it."""

Value = TypeVar("Value")
Progress = Callable[[str, float], None]
"""Called with a stage's name and the share of it done, in [0, 1]."""


def silent(stage: str, share: float) -> None:
    """The progress callback that says nothing."""


def holds_stages(folder: Path) -> bool:
    """Whether a run of ours kept a stage in this folder."""
    return any(stage_path(folder, stage).exists() for stage in STAGES)


def stage_path(folder: Path, stage: str) -> Path:
    """Where a stage's value is kept."""
    return folder / f"{STAGES.index(stage) + 1}_{stage}.npz"


@dataclass
class StageRunner:
    """Runs stages in order, keeping each result in `folder`; a second run takes what still holds.

    A stage is redone when the input, its settings, an earlier stage's settings or the package's
    version of it changed, or when `redo_from` names it or a stage before it.
    """

    folder: Path
    input_key: str
    redo_from: str | None
    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of each stage run now; 0 for one taken from the folder."""
    _chain: str = ""
    _keys: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.redo_from is not None and self.redo_from not in STAGES:
            raise UsageError(f"stage {self.redo_from!r} given; the stages are {', '.join(STAGES)}")
        writable_folder(self.folder)
        self._chain = self.input_key

    def run(
        self,
        stage: str,
        compute: Callable[[], Value],
        *,
        settings: Mapping[str, Any],
        classes: tuple[type, ...],
    ) -> Value:
        """The stage's value: from its file when that still holds, else computed and kept."""
        self._chain = self._keys[stage] = _digest(self._chain, stage, settings)
        path = stage_path(self.folder, stage)
        started = time.perf_counter()
        if not self._redo(stage):
            kept = load_value(path, key=self._chain, classes=classes)
            if kept is not None:
                self.seconds[stage] = 0.0
                self.progress(stage, 1.0)
                return kept
        self.progress(stage, 0.0)
        value = compute()
        save_value(path, value, key=self._chain)
        give_back()
        self.seconds[stage] = time.perf_counter() - started
        self.progress(stage, 1.0)
        return value

    def again(self, stage: str, *, classes: tuple[type, ...]) -> Any:
        """The value of a stage that was run, read anew: what is needed late need not be held.

        Raises OutputError when its file has gone meanwhile.
        """
        path = stage_path(self.folder, stage)
        value = load_value(path, key=self._keys[stage], classes=classes)
        if value is None:
            raise OutputError(f"{path} was removed or changed during the run; run it again")
        return value

    def _redo(self, stage: str) -> bool:
        if self.redo_from is None:
            return False
        return STAGES.index(stage) >= STAGES.index(self.redo_from)


def _digest(chain: str, stage: str, settings: Mapping[str, Any]) -> str:
    text = json.dumps([chain, stage, dict(sorted(settings.items()))], default=str)
    return hashlib.sha256(text.encode()).hexdigest()
