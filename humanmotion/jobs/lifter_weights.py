"""The lifter's weights: the shipped ones, or what `train lifter` wrote."""

from __future__ import annotations

from pathlib import Path

from humanmotion.errors import FileFormatError
from humanmotion.files import asset, read_json, read_tensors
from humanmotion.recovery.lifter import Lifter, LifterConfig

WEIGHTS = "lifter/lifter.safetensors"


def load_lifter(weights: str | Path | None = None) -> Lifter:
    """The shipped lifter, or another whose `.json` lies beside its weights.

    Raises FileFormatError when the two do not fit.
    """
    path = asset(WEIGHTS) if weights is None else Path(weights)
    tensors = {name: value.float() for name, value in read_tensors(path).items()}
    try:
        lifter = Lifter(LifterConfig(**read_json(path.with_suffix(".json"))))
        lifter.load_state_dict(tensors)
    except (TypeError, ValueError, RuntimeError) as error:
        raise FileFormatError(
            f"{path} is no lifter of this version: {error}".splitlines()[0]
        ) from error
    return lifter.eval().requires_grad_(False)
