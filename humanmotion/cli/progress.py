"""Progress on stderr: a bar with the stage's name and the time left, or plain lines in a log."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class StageProgress:
    """Called with a stage's name and the share of it done in [0, 1]; a context manager."""

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True, quiet=quiet)
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}

    def __enter__(self) -> StageProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, stage: str, share: float) -> None:
        """Show that `share` of `stage` is done."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage, total=1.0)
            self._started[stage] = time.monotonic()
        self._bar.update(self._tasks[stage], completed=share)
        if share >= 1.0 and not self._console.is_terminal:
            seconds = time.monotonic() - self._started[stage]
            self._console.print(f"{stage}: {seconds:.1f} s", highlight=False)
