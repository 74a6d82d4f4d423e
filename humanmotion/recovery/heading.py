"""Which way a camera looks over the ground: used to compare cameras across a cut."""

from __future__ import annotations

import torch
from torch import Tensor


def view_heading(R_w2c: Tensor) -> Tensor:
    """Angle in radians `(...)` about world z of the horizontal view direction, from the x axis.

    `R_w2c` `(..., 3, 3)`, OpenCV camera in a z-up world: the view direction is the third row.
    """
    view = R_w2c[..., 2, :]
    return torch.atan2(view[..., 1], view[..., 0])
