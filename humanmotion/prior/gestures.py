"""What hands do: the angles of a finger, their limits, and a table of named gestures.

A hand is `(..., 5, 5)` angles in degrees: fingers in SMPL-X's order (index, middle, pinky, ring,
thumb), and for each the three angles of its first joint, then the hinges of the second and third:
flexion (towards the palm), spread (away from the middle finger; the middle one's is towards the
index), twist, middle hinge, end hinge. The thumb's first three are its sweep across the palm, its
palmar abduction (out of the palm's plane) and its pronation.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

FINGERS = ("index", "middle", "pinky", "ring", "thumb")
THUMB = 4
FLEXION, SPREAD, TWIST, MIDDLE_HINGE, END_HINGE = range(5)
COUPLING = 2 / 3
"""Of a finger's end hinge to its middle one: one tendon bends both."""
COUPLING_SLACK_DEG = 14.0
FLEXED_SPREAD = 0.25
"""Share of the spread that is left at a right angle of flexion: the side ligaments are taut."""
LIMITS_DEG = torch.tensor(
    (
        ((-20, 90), (-6, 20), (-6, 6), (0, 105), (0, 80)),
        ((-20, 90), (-8, 8), (-6, 6), (0, 105), (0, 80)),
        ((-20, 90), (-8, 25), (-6, 6), (0, 105), (0, 80)),
        ((-20, 90), (-8, 14), (-6, 6), (0, 105), (0, 80)),
        ((-15, 45), (-10, 55), (-10, 40), (-10, 60), (-15, 80)),
    ),
    dtype=torch.float32,
)
"""Lowest and highest angle, `(5, 5, 2)`."""
BONES_MM = torch.tensor(
    (
        ((100, -16, 32), (26, -1, 2), (23, -2, 2), (24, -2, 3)),
        ((100, -11, 6), (34, -1, 0), (28, -2, 0), (19, -2, 1)),
        ((84, -16, -32), (21, -1, -4), (15, -1, -3), (16, -4, 0)),
        ((94, -11, -14), (30, -1, -3), (25, -2, -2), (17, -3, 0)),
        ((33, -14, 31), (11, -12, 26), (25, -10, 25), (20, -12, 13)),
    ),
    dtype=torch.float32,
)
"""Flat left hand of the default body, `(5, 4, 3)`: wrist to first joint, then bone after bone to the
tip; x along the fingers, y out of the back of the hand, z to the thumb's side."""
POINTS_PER_BONE = 4
PALM_SHARES = torch.tensor((0.4, 0.55, 0.7, 0.85))
"""Of the way from the wrist to a knuckle, where the palm is looked at."""
_YAW_DEG = (5.0, 0.0, -11.0, -5.0)
"""Where the flat fingers point, from x towards z."""
_THUMB_AXES = ((0, 1, 0), (0.92, 0, -0.38), (0.35, -0.40, 0.85), (0.60, 0.75, -0.27))
"""Sweep, abduction, pronation (the metacarpal itself) and the hinges, which are the wide axis of the
default body's thumb tip."""
_GESTURES = """
flat            0   0   0 |   0   0   0 |   0   0   0 |   0   0   0 |   0   0   0   0   0
relaxed        22   0  28 |  26   0  34 |  34   0  36 |  30   0  36 |  10  16   8  10  14
loose          34   0  44 |  40   0  52 |  46   0  54 |  44   0  54 |  16  22  12  14  20
spread          0  16   0 |   0   2   0 |   0  20   0 |   0  10   0 |  -8   6   0   0   0
fist           80   0 100 |  84   0 100 |  84   0  98 |  84   0 100 |  30  24  31  27  30
point           0   0   4 |  82   0  98 |  84   0  96 |  84   0 100 |  30  24  30  26  30
gun             0   0   4 |  80   0  98 |  84   0  96 |  84   0 100 |  -8   0   0   0   0
thumb_up       80   0  98 |  84   0 100 |  84   0  96 |  84   0 100 | -10  -4   0  -4 -10
peace           0  12   2 |   0  -4   2 |  80   0  92 |  80   0  96 |  34  30  34  32  34
three           0  10   2 |   0   0   2 |  80   0  92 |   4   8   6 |  36  36  36  36  36
thumb_three     0  10   2 |   0  -2   2 |  82   0  94 |  80   0  98 |  -8   2   0   0   0
four            0   8   2 |   0   2   2 |   0  12   4 |   0   6   2 |  42  26  24  40  40
horns           0   6   4 |  80   0  98 |   2  10   6 |  80   0  98 |  30  26  30  30  30
love            0   6   4 |  80   0  98 |   2  12   6 |  80   0  98 |  -8   2   0   0   0
call           76   0  96 |  80   0 100 |   0  16   4 |  76   0  94 |  -8   2   0   0   0
little_finger  78   0  98 |  82   0 100 |   4   6   8 |  72   0  94 |  30  24  31  27  30
ok             47  -1  46 |  12   2  14 |  -4   8   8 |   2   4  10 |  30  30  36  21  12
pinch          50  -1  43 |  46   0  56 |  50   0  62 |  50   0  60 |  30  32  36  20  11
tripod         61   0  37 |  62   3  43 |  62   0  70 |  60   0  66 |  30  36  33  26  13
key_pinch      60   0  74 |  64   0  82 |  68   0  84 |  66   0  84 |  29   2   6   7   7
five_pinch     61   0  37 |  62   3  43 |  58  -4  36 |  62  -2  40 |  30  36  33  26  14
claw          -14  12  72 | -14   2  76 | -14  16  72 | -14   8  76 |  -4  24  14  16  50
hook            2   0  88 |   2   0  92 |   4   0  86 |   2   0  90 |   6   6   4   4  10
cylinder       46   2  58 |  48   0  60 |  54   2  58 |  50   0  60 |   6  52  34  22  26
ball           24  12  42 |  24   2  44 |  26  18  42 |  24   9  44 |   2  38  28  14  26
bowl           42   0  14 |  42   0  14 |  44   0  16 |  42   0  14 |   6  44  32   6   8
tabletop       86   0   8 |  88   0   8 |  86   0   8 |  86   0   8 |  27  53  30  18  15
beckon         10   0  70 |  76   0  94 |  80   0  94 |  80   0  98 |  30  24  30  26  30
teacup         47   0  50 |  53   3  58 |   0  14  10 |  58   0  64 |  31  30  35  32  15
"""
"""Flexion, spread and middle hinge of a finger (its end hinge follows), index | middle | pinky | ring
| all five of the thumb. The thumb of those that touch was fitted on the default body."""
HELD_OUT = ("peace", "ok", "call", "claw")
"""Gestures no training hand shows, so that whole unseen ones are there to test on."""


def _axes() -> Tensor:
    """`(5, 5, 3)` unit axes about which the positive angles of `_GESTURES` turn."""
    rows = []
    for finger, yaw in zip(FINGERS, _YAW_DEG, strict=False):
        x, z = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
        outward = -1.0 if finger in ("index", "middle") else 1.0
        bend = (z, 0.0, -x)
        rows.append((bend, (0.0, outward, 0.0), (x, 0.0, z), bend, bend))
    rows.append((*_THUMB_AXES, _THUMB_AXES[-1]))
    return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float32), dim=-1)


AXES = _axes()


def _read(table: str) -> dict[str, Tensor]:
    gestures = {}
    for line in table.strip().splitlines():
        name, rest = line.split(maxsplit=1)
        rows = [[float(n) for n in row.split()] for row in rest.split("|")]
        fingers = [(a, spread, 0.0, b, COUPLING * b) for a, spread, b in rows[:THUMB]]
        gestures[name] = torch.tensor((*fingers, tuple(rows[THUMB])))
    return gestures


GESTURES: dict[str, Tensor] = _read(_GESTURES)
"""Angles `(5, 5)` of each named gesture."""


def within_limits(angles: Tensor) -> Tensor:
    """The nearest angles `(..., 5, 5)` a hand can take, each limit after the other."""
    low, high = LIMITS_DEG.unbind(-1)
    angles = angles.clamp(low, high)
    taut = 1 - (1 - FLEXED_SPREAD) * angles[..., :THUMB, FLEXION].clamp(min=0) / 90
    spread = angles[..., :THUMB, SPREAD]
    spread = spread.clamp(low[:THUMB, SPREAD] * taut, high[:THUMB, SPREAD] * taut)
    drawn = COUPLING * angles[..., :THUMB, MIDDLE_HINGE]
    end = angles[..., :THUMB, END_HINGE].clamp(
        drawn - COUPLING_SLACK_DEG, drawn + COUPLING_SLACK_DEG
    )
    angles = angles.clone()
    angles[..., :THUMB, SPREAD] = spread
    angles[..., :THUMB, END_HINGE] = end
    return angles


def joint_rotations(angles: Tensor) -> Tensor:
    """Local rotations `(..., 5, 3, 3, 3)` of the left hand's finger joints."""
    turns = rotvec_to_matrix(angles.deg2rad()[..., None] * AXES)
    first = turns[..., FLEXION, :, :] @ turns[..., SPREAD, :, :] @ turns[..., TWIST, :, :]
    return torch.stack((first, turns[..., MIDDLE_HINGE, :, :], turns[..., END_HINGE, :, :]), -3)


def hand_rotvec(angles: Tensor) -> Tensor:
    """Left-hand rotation vectors `(..., 15, 3)` in radians, joints in SMPL-X's order."""
    return matrix_to_rotvec(joint_rotations(angles)).flatten(-3, -2)


def mirrored(rotvec: Tensor) -> Tensor:
    """The other hand's rotation vectors `(..., 15, 3)`: the mirror plane is x = 0."""
    return rotvec * rotvec.new_tensor((1.0, -1.0, -1.0))


def finger_points(angles: Tensor) -> Tensor:
    """Joints and tip `(..., 5, 4, 3)` of each finger of the left hand, millimetres from the wrist."""
    world = torch.eye(3)
    points = [BONES_MM[:, 0].expand(*angles.shape[:-1], 3)]
    for joint, local in enumerate(joint_rotations(angles).unbind(-3)):
        world = world @ local
        points.append(points[-1] + (world @ BONES_MM[:, joint + 1, :, None])[..., 0])
    return torch.stack(points, -2)


def clearance_mm(angles: Tensor) -> Tensor:
    """Smallest distance `(...)` between the middle lines of two fingers, or a finger tip and the palm.

    Fingers that touch are about 13 mm apart; far below that one is inside the other.
    """
    points = finger_points(angles)
    share = torch.linspace(0, 1, POINTS_PER_BONE)[:, None]
    lines = points[..., :-1, None, :].lerp(points[..., 1:, None, :], share).flatten(-3, -2)
    apart = torch.cdist(lines.flatten(-3, -2), lines.flatten(-3, -2))
    finger = torch.arange(len(FINGERS)).repeat_interleave(lines.shape[-2])
    apart = apart.masked_fill(finger[:, None] == finger, torch.inf).amin((-2, -1))
    palm = (PALM_SHARES[:, None, None] * BONES_MM[:THUMB, 0]).flatten(0, 1)
    tips = torch.cdist(points[..., -1, :], palm).amin((-2, -1))
    return torch.minimum(apart, tips)
