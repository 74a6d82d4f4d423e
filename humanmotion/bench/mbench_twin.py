"""MBench's joint metrics from their definitions, frame by frame: slow, and plain to read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

FEET = (10, 11)
Vector = Sequence[float]
Frames = Sequence[Sequence[Vector]]
"""Joints by frame and joint."""
Heights = Sequence[Vector]
"""Of both feet by frame."""


def _norm(v: Vector) -> float:
    return math.sqrt(sum(float(x) ** 2 for x in v))


def _minus(a: Vector, b: Vector) -> list[float]:
    return [float(x) - float(y) for x, y in zip(a, b, strict=True)]


def _about_root(p: Frames) -> Frames:
    return [[_minus(joint, frame[0]) for joint in frame] for frame in p]


def jitter(p: Frames) -> float:
    """Jitter_Degree."""
    total = 0.0
    for track in (p, _about_root(p)):
        sizes = []
        for t in range(len(p) - 2):
            for j in range(len(p[0])):
                now, on, later = track[t][j], track[t + 1][j], track[t + 2][j]
                sizes.append(_norm([c - 2 * b + a for a, b, c in zip(now, on, later, strict=True)]))
        total += sum(sizes) / len(sizes)
    return total


def dynamic(p: Frames) -> float:
    """Dynamic_Degree."""
    total = 0.0
    for track in (p, _about_root(p)):
        sizes = [
            _norm(_minus(track[t + 1][j], track[t][j]))
            for t in range(len(p) - 1)
            for j in range(len(p[0]))
        ]
        total += sum(sizes) / len(sizes)
    return total


def penetration(height: Heights) -> float:
    """Ground_Penetration."""
    deep = [-h for pair in height for h in pair if h < -0.005]
    return sum(deep) / len(deep) if deep else 0.0


def _velocity(track: Sequence[Vector]) -> list[list[float]]:
    steps = [_minus(track[t + 1], track[t]) for t in range(len(track) - 1)]
    return [*steps, steps[-1]]


def contact(p: Frames, height: Heights) -> list[list[bool]]:
    """Frames in which each foot touches the floor, by foot."""
    out = []
    for side, foot in enumerate(FEET):
        v = _velocity([frame[foot] for frame in p])
        out.append([_norm(v[t]) < 0.01 or float(height[t][side]) < 0.02 for t in range(len(p))])
    return out


def sliding(p: Frames, height: Heights) -> float:
    """Foot_Sliding."""
    total, touch = 0.0, contact(p, height)
    for side, foot in enumerate(FEET):
        v = _velocity([frame[foot] for frame in p])
        way = sum(_norm(v[t][:2]) for t in range(len(p)) if touch[side][t])
        total += way / (sum(touch[side]) + 1e-6)
    return total / 2


def _runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """First and last frame of every maximal run of true flags."""
    runs: list[tuple[int, int]] = []
    start: int | None = None
    for t, flag in enumerate([*flags, False]):
        if flag and start is None:
            start = t
        if not flag and start is not None:
            runs.append((start, t - 1))
            start = None
    return runs


def floating(p: Frames, height: Heights) -> float:
    """Foot_Floating."""
    frames = len(p)
    touch = contact(p, height)
    d = [_norm(v) for v in _velocity([frame[0] for frame in p])]
    m = [[_norm(v) for v in _velocity([frame[f] for frame in p])] for f in FEET]
    a = [[_norm(v) for v in _velocity([_minus(q[f], q[0]) for q in p])] for f in FEET]
    rho = [[a[s][t] / (d[t] + 1e-6) for t in range(frames)] for s in (0, 1)]
    return (
        _part_a(touch, d, m=m, rho=rho) + _part_b(touch, d, rho) / 2 + _part_c(p, touch)
    ) / frames


def _part_a(
    touch: list[list[bool]], d: list[float], *, m: list[list[float]], rho: list[list[float]]
) -> int:
    count = 0
    for t in range(len(d)):
        if d[t] < 0.001:
            continue
        bad = [
            m[s][t] > 1.2e-4 and (rho[s][t] < 0.6 or (rho[s][t] > 1.75 and d[t] > 1.2e-4))
            for s in (0, 1)
        ]
        on = [touch[s][t] for s in (0, 1)]
        both = all(on) and all(bad)
        one = (on[0] and not on[1] and bad[0]) or (on[1] and not on[0] and bad[1])
        count += both or one
    return count


def _part_b(touch: list[list[bool]], d: list[float], rho: list[list[float]]) -> int:
    total = 0
    for s in (0, 1):
        for first, last in _runs([not on for on in touch[s]]):
            length = last - first + 1
            slow = sum(d[t] < 0.001 for t in range(first, last + 1))
            if length < 4 or slow > length / 2:
                continue
            for a, b in _runs([rho[s][t] < 0.4 for t in range(first, last + 1)]):
                total += b - a + 1
    return total


def _part_c(p: Frames, touch: list[list[bool]]) -> int:
    flights = [[r for r in _runs([not on for on in t]) if r[1] - r[0] + 1 >= 4] for t in touch]
    total = 0
    for a in flights[0]:
        for b in flights[1]:
            first, last = max(a[0], b[0]), min(a[1], b[1])
            if first <= last and _peaks(_angles(p, first, last)) > 2:
                total += last - first + 1
    return total


def _angles(p: Frames, first: int, last: int) -> list[float]:
    end = _minus(p[last][FEET[0]], p[first][FEET[0]])
    out = []
    for f in range(first + 1, last + 1):
        way = _minus(p[f][FEET[0]], p[first][FEET[0]])
        if _norm(way) * _norm(end) == 0:
            out.append(0.0)
            continue
        cosine = sum(x * y for x, y in zip(way, end, strict=True)) / (_norm(way) * _norm(end))
        out.append(math.degrees(math.acos(max(-1.0, min(1.0, cosine)))))
    return out


def _peaks(curve: Sequence[float]) -> int:
    return sum(
        curve[i - 1] < curve[i] > curve[i + 1] and curve[i] - min(curve) > 1e-3
        for i in range(1, len(curve) - 1)
    )


SHORTEST = {
    "Jitter_Degree": 3,
    "Ground_Penetration": 1,
    "Foot_Floating": 2,
    "Foot_Sliding": 2,
    "Dynamic_Degree": 2,
}


def metrics(p: Frames, height: Heights) -> dict[str, float | None]:
    """All five of a clip as nested lists; None where it is too short."""
    found: dict[str, Callable[[], float]] = {
        "Jitter_Degree": lambda: jitter(p),
        "Ground_Penetration": lambda: penetration(height),
        "Foot_Floating": lambda: floating(p, height),
        "Foot_Sliding": lambda: sliding(p, height),
        "Dynamic_Degree": lambda: dynamic(p),
    }
    return {k: f() if len(p) >= SHORTEST[k] else None for k, f in found.items()}
