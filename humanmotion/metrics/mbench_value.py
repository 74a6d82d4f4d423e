"""What a metric of a clip comes to: a number, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MetricValue:
    """One metric of one clip."""

    value: float | None
    """None where the metric cannot be told of the clip."""
    reason: str | None
    """Why there is no value, in one line; None where there is one."""
