"""Which points of a body hide behind its own limbs: lines of sight against capsules."""

from __future__ import annotations

from torch import Tensor

CAPSULES = (
    (0, 9, 0.13), (9, 12, 0.11), (12, 15, 0.09), (16, 18, 0.045), (18, 20, 0.04), (17, 19, 0.045),
    (19, 21, 0.04), (1, 4, 0.075), (4, 7, 0.05), (2, 5, 0.075), (5, 8, 0.05),
)  # fmt: skip
"""Joints at both ends and the radius in metres."""
CLEAR = 0.08
"""Metres before a point within which nothing hides it: the point lies on the body itself."""


def hidden_by_body(points: Tensor, joints: Tensor) -> Tensor:
    """`(T, L)` bool: points `(T, L, 3)` whose line to the camera meets a limb; camera axes, metres."""
    length = points.norm(dim=-1)
    ray = points / length[..., None].clamp(min=1e-6)
    first, last, radius = zip(*CAPSULES, strict=True)
    thick = joints.new_tensor(radius)
    a, b = joints[:, None, list(first)], joints[:, None, list(last)]
    apart, along = _nearest(ray[:, :, None], a, b)
    behind = along < length[..., None] - CLEAR - thick
    return ((apart < thick) & (along > 0) & behind).any(-1)


def _nearest(ray: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Distance of unit rays from the origin `(..., 3)` to segments `a b`, and where on the ray."""
    bone = b - a
    turn = (ray * bone).sum(-1)
    size = (bone * bone).sum(-1)
    share = ((ray * a).sum(-1) * turn - (a * bone).sum(-1)) / (size - turn**2).clamp(min=1e-9)
    near = a + share.clamp(0, 1)[..., None] * bone
    along = (near * ray).sum(-1)
    return (near - along[..., None] * ray).norm(dim=-1), along
