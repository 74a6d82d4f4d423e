"""A network out of its weights and the JSON file of its sizes beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from humanmotion.errors import FileFormatError
from humanmotion.files import read_json, read_tensors


def load_network(path: Path, build: Callable[..., Any], *, what: str) -> Any:
    """The network that `build` makes of the `.json` beside its weights; in float32, without gradients.

    Raises FileFormatError when the two do not fit.
    """
    tensors = {name: value.float() for name, value in read_tensors(path).items()}
    try:
        network = build(**read_json(path.with_suffix(".json")))
        network.load_state_dict(tensors)
    except (TypeError, ValueError, RuntimeError) as error:
        raise FileFormatError(
            f"{path} is no {what} of this version: {error}".splitlines()[0]
        ) from error
    return network.eval().requires_grad_(False)
