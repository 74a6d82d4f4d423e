"""The lifter's weights: the shipped ones, or what `train lifter` wrote."""

from __future__ import annotations

from pathlib import Path

from humanmotion.diffusion.time_mixing import TimeSizes
from humanmotion.diffusion.weights import load_network
from humanmotion.files import asset
from humanmotion.recovery.lifter import Lifter

WEIGHTS = "lifter/lifter.safetensors"


def load_lifter(weights: str | Path | None = None) -> Lifter:
    """The shipped lifter, or another whose `.json` lies beside its weights.

    Raises FileFormatError when the two do not fit.
    """
    path = asset(WEIGHTS) if weights is None else Path(weights)
    lifter: Lifter = load_network(path, lambda **x: Lifter(TimeSizes(**x)), what="lifter")
    return lifter
