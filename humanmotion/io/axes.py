"""Between our world (z up) and the worlds of glTF, BVH and TRC (y up): the one place that turns."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from humanmotion.rotations import Y_UP_TO_Z_UP


def turn_up(vectors: Tensor, to: Literal["y", "z"]) -> Tensor:
    """`(..., 3)` coordinates of a y-up world to our z-up world (`to="z"`), or back (`to="y"`).

    (x, y, z) of the y-up world is (x, -z, y) of ours. A world rotation `R` `(..., 3, 3)` turns by
    its columns: `turn_up(R.mT, to=...).mT`.
    """
    turn = vectors.new_tensor(Y_UP_TO_Z_UP)
    return vectors @ (turn.mT if to == "z" else turn)
