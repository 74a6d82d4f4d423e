"""Scores that are kept while a run goes on, so that one that is cut off goes on where it was.

One JSON line a clip, beside the output. A line counts for a file of the same bytes and a run of the
same settings and version; a last line that was cut off is left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import humanmotion
from humanmotion.errors import OutputError
from humanmotion.files import sha256
from humanmotion.jobs.score_clip import ReadOptions
from humanmotion.jobs.score_systems import ClipScore
from humanmotion.metrics.mbench_value import MetricValue

VERSION = 1
"""Of the metrics' definitions: raised when one changes."""


@dataclass
class ScoreCache:
    """Clip scores by what they depend on; without a path it keeps nothing."""

    path: Path | None
    _known: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def beside(cls, output: Path | None) -> ScoreCache:
        """The cache of a run that writes `output`, with what an earlier one left."""
        if output is None:
            return cls(None)
        path = output.with_name(output.name + ".cache")
        cache = cls(path)
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                cache._learn(line)
        return cache

    def __len__(self) -> int:
        return len(self._known)

    def key(
        self,
        path: Path,
        options: ReadOptions,
        *,
        up: str | None,
        truth: Path | None,
        judged: bool,
        metrics: Sequence[str],
    ) -> str:
        """What a clip's score depends on.

        `judged`: whether there is a folder of truth at all; `metrics`: what is asked of the clip, and
        of which weights.
        """
        if self.path is None:
            return ""
        parts = [sha256(path), up, judged, None if truth is None else sha256(truth), VERSION]
        return json.dumps([*parts, humanmotion.__version__, asdict(options), *metrics])

    def get(self, key: str, *, path: Path) -> ClipScore | None:
        """The score of that key, if it was kept."""
        row = self._known.get(key)
        if row is None:
            return None
        values = {name: MetricValue(*pair) for name, pair in row["values"].items()}
        return ClipScore(path.stem, path, row["seconds"], values, tuple(row["notes"]))

    def put(self, key: str, score: ClipScore) -> None:
        """Keep a score at once; raises OutputError where the file cannot be written."""
        if self.path is None:
            return
        values = {name: [v.value, v.reason] for name, v in score.values.items()}
        row = {"key": key, "seconds": score.seconds, "values": values, "notes": score.notes}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as stream:
                # The newline goes first, to end a line that an earlier run was cut off in.
                stream.write("\n" + json.dumps(row))
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror}") from error

    def clear(self) -> None:
        """Remove the file: the run is done."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _learn(self, line: str) -> None:
        try:
            row = json.loads(line)
        except ValueError:
            return
        if isinstance(row, dict) and {"key", "values", "seconds", "notes"} <= row.keys():
            self._known[str(row["key"])] = row
