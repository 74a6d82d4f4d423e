"""The pose field's weights: the shipped ones, or what `train pose-field` wrote."""

from __future__ import annotations

from pathlib import Path

from humanmotion.diffusion.weights import load_network
from humanmotion.files import asset
from humanmotion.prior.pose_field import PoseField, PoseFieldConfig

WEIGHTS = "pose_field/pose_field.safetensors"


def load_pose_field(weights: str | Path | None = None) -> PoseField:
    """The shipped pose field, or another whose `.json` lies beside its weights.

    Raises FileFormatError when the two do not fit.
    """
    path = asset(WEIGHTS) if weights is None else Path(weights)
    field: PoseField = load_network(
        path, lambda **x: PoseField(PoseFieldConfig(**x)), what="pose field"
    )
    return field
