"""The refiner's weights: the shipped ones, or what `train refiner` wrote."""

from __future__ import annotations

from pathlib import Path

from humanmotion.diffusion.time_mixing import TimeSizes
from humanmotion.diffusion.weights import load_network
from humanmotion.files import asset
from humanmotion.recovery.refiner import Refiner

WEIGHTS = "refiner/refiner.safetensors"


def load_refiner(weights: str | Path | None = None) -> Refiner:
    """The shipped refiner, or another whose `.json` lies beside its weights.

    Raises FileFormatError when the two do not fit.
    """
    path = asset(WEIGHTS) if weights is None else Path(weights)
    refiner: Refiner = load_network(path, lambda **x: Refiner(TimeSizes(**x)), what="refiner")
    return refiner
