"""Whether two triangles meet, in whole numbers: the slow twin of the exact test."""

from __future__ import annotations


def _cross(a, b):
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def _minus(a, b):
    return tuple(x - y for x, y in zip(a, b, strict=True))


def _dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def _side(a, b, c):
    """Sign of the turn from a over b to c in the plane."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _flat_segments_meet(p, q, r, s):
    d = _side(p, q, r), _side(p, q, s), _side(r, s, p), _side(r, s, q)
    if d[0] * d[1] < 0 and d[2] * d[3] < 0:
        return True
    lines = ((p, q, r), (p, q, s), (r, s, p), (r, s, q))
    return any(v == 0 and all(min(a[i], b[i]) <= c[i] <= max(a[i], b[i]) for i in (0, 1))
               for v, (a, b, c) in zip(d, lines, strict=True))  # fmt: skip


def _flat_inside(p, triangle):
    turns = [_side(triangle[i], triangle[(i + 1) % 3], p) for i in range(3)]
    return min(turns) >= 0 or max(turns) <= 0


def _segment_meets(p, q, triangle) -> bool:
    """Whether the closed segment meets the closed triangle, all in whole numbers."""
    a, b, c = triangle
    normal = _cross(_minus(b, a), _minus(c, a))
    above, below = _dot(normal, _minus(p, a)), _dot(normal, _minus(q, a))
    if above * below > 0:
        return False
    if above == below == 0:
        drop = max(range(3), key=lambda i: abs(normal[i]))
        flat = [tuple(x for i, x in enumerate(v) if i != drop) for v in (p, q, a, b, c)]
        corners = flat[2:]
        sides = [(corners[i], corners[(i + 1) % 3]) for i in range(3)]
        return _flat_inside(flat[0], corners) or any(
            _flat_segments_meet(flat[0], flat[1], *side) for side in sides
        )
    # The line goes by all edges on one side.
    turns = [_dot(_minus(q, p), _cross(_minus(triangle[i], p), _minus(triangle[(i + 1) % 3], p)))
             for i in range(3)]  # fmt: skip
    return min(turns) >= 0 or max(turns) <= 0


def meet_in_whole_numbers(one, two) -> bool:
    """Slow twin: two triangles meet where an edge of either meets the other."""
    return any(
        _segment_meets(x[i], x[(i + 1) % 3], y)
        for x, y in ((one, two), (two, one))
        for i in range(3)
    )
