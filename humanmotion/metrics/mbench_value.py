"""What a benchmark metric gives for one clip: a number, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MetricValue:
    """One metric of one clip."""

    value: float | None
    """None where the clip has no value, and `reason` then says why."""
    reason: str | None
