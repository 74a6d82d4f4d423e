"""What faces do: a table of named expressions in the default body's ten directions and the jaw."""

from __future__ import annotations

import torch
from torch import Tensor

EXPRESSIONS = (
    *("smile", "corners_down", "pucker", "lips_stretched", "nose_wrinkled"),
    *("inner_brows_up", "outer_brows_up", "brows_down", "left_eye_closed", "right_eye_closed"),
)
"""The ten directions of the default body; 1 is full."""
ANTAGONISTS = ((0, 1), (0, 2), (2, 3), (5, 7), (6, 7))
"""Pairs of directions that pull against each other."""
ANTAGONIST_SLACK = 0.15
"""The weaker of two antagonists is at most this."""
EXPRESSION_RANGE = (-0.3, 1.2)
JAW_RANGE_DEG = torch.tensor(((0.0, 25.0), (-4.0, 4.0), (-2.0, 2.0)))
"""Opening (about x), slide to the side (y), tilt (z), `(3, 2)`."""
LEFT_EYE = 8
"""The right one is next."""
_FACES = """
neutral      .0  .0  .0  .0  .0   .0  .0  .0   .0  .0    0
joy         1.0  .0  .0  .1  .1   .0  .1  .0   .2  .2    3
laugh       1.1  .0  .0  .3  .4   .1  .2  .0   .6  .6   16
content      .4  .0  .0  .0  .0   .0  .0  .0   .1  .1    0
surprise     .0  .0  .1  .0  .0   .9 1.1  .0  -.2 -.2   18
wonder       .2  .0  .0  .0  .0   .5  .6  .0  -.1 -.1    7
anger        .0  .5  .0  .2  .4   .0  .0 1.0   .2  .2    2
rage         .0  .3  .0  .7  .7   .0  .0 1.1   .2  .2   14
disgust      .0  .6  .0  .1 1.1   .0  .0  .5   .4  .4    4
sadness      .0  .9  .1  .0  .0   .9  .1  .0   .3  .3    1
crying       .0  .8  .0  .6  .5   .7  .0  .0   .8  .8   10
fear         .0  .2  .0  .8  .0   .8  .7  .0  -.2 -.2   10
doubt        .0  .5  .2  .0  .1   .0  .7  .0   .1  .1    0
focus        .0  .1  .2  .0  .1   .0  .0  .6   .3  .3    0
kiss         .0  .0 1.1  .0  .0   .0  .1  .0   .6  .6    1
pout         .0  .5  .7  .0  .0   .0  .0  .5   .1  .1    0
sleep        .0  .1  .0  .0  .0   .0  .0  .0  1.0 1.0    2
squint       .1  .0  .0  .1  .4   .0  .0  .5   .6  .6    0
wink_left    .5  .0  .0  .0  .1   .0  .0  .1  1.0  .1    1
wink_right   .5  .0  .0  .0  .1   .0  .0  .1   .1 1.0    1
yawn         .0  .1  .1  .1  .2   .2  .3  .0   .9  .9   25
shout        .0  .0  .0  .6  .3   .0  .2  .0   .1  .1   22
say_a        .1  .0  .0  .2  .0   .0  .1  .0   .0  .0   14
say_e        .2  .0  .0  .6  .0   .0  .1  .0   .0  .0    6
say_i        .4  .0  .0  .8  .0   .0  .1  .0   .0  .0    3
say_o        .0  .0  .7  .0  .0   .0  .1  .0   .0  .0   11
say_u        .0  .0 1.0  .0  .0   .0  .1  .0   .0  .0    5
say_m        .0  .1  .2  .1  .0   .0  .1  .0   .0  .0    0
"""
FACES: dict[str, Tensor] = {
    line.split()[0]: torch.tensor([float(n) for n in line.split()[1:]])
    for line in _FACES.strip().splitlines()
}
"""Ten coefficients and the jaw's opening in degrees, `(11)`, of each named expression."""
HELD_OUT_FACES = ("laugh", "disgust", "fear", "kiss")
"""Expressions no training face shows."""


def settle_antagonists(shown: Tensor) -> Tensor:
    """Coefficients `(..., 10)` with the weaker of each two antagonists lowered."""
    shown = shown.clone()
    for pair in ANTAGONISTS:
        both = shown[..., list(pair)]
        weaker = both.argmin(-1, keepdim=True)
        lowered = both.gather(-1, weaker).clamp(max=ANTAGONIST_SLACK)
        shown[..., list(pair)] = both.scatter(-1, weaker, lowered)
    return shown


def face_distance(faces: Tensor, named: Tensor) -> Tensor:
    """`(...)` between faces and named ones, both `(..., >= 11)`: coefficients and jaw opening.

    Root of the summed squares; the jaw counts in full openings.
    """
    away = (faces[..., :11] - named[..., :11]) / torch.tensor((*(1.0,) * 10, JAW_RANGE_DEG[0, 1]))
    return away.square().sum(-1).sqrt()
