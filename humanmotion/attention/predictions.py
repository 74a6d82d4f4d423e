"""Predictions that later steps of a run use again, each for the same call of the same layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class _Kept:
    """A prediction, when it was made and what of."""

    step: int
    about: tuple[object, ...]
    key_mask: Tensor | None
    prediction: Any

    def fits(self, about: tuple[object, ...], key_mask: Tensor | None) -> bool:
        if self.about != about or (self.key_mask is None) != (key_mask is None):
            return False
        return self.key_mask is None or key_mask is None or torch.equal(self.key_mask, key_mask)


class Predictions:
    """What one run's later steps may use again.

    A model may call a layer several times at one step (guidance: with the text and without). The k-th
    of these calls uses what the k-th call of an earlier step predicted, never another one's.
    """

    def __init__(self) -> None:
        self._kept: dict[int, dict[int, _Kept]] = {}
        self._calls: dict[int, tuple[int, int]] = {}

    def begin(self, step: int, layer: int) -> None:
        """Count a call; a step before the layer's last one begins a new run, which forgets it."""
        last, calls = self._calls.get(layer, (step, 0))
        if step < last:
            self._kept.pop(layer, None)
        self._calls[layer] = (step, calls + 1 if step == last else 1)

    def take(
        self,
        about: tuple[object, ...],
        key_mask: Tensor | None,
        make: Callable[[], Any],
        *,
        layer: int,
        refresh: int,
    ) -> Any:
        """The prediction of the call that has begun: of fewer than `refresh` steps ago, or new.

        An earlier one stands only for the same `about` and the same `key_mask`.
        """
        step, call = self._calls[layer]
        kept = self._kept.setdefault(layer, {})
        last = kept.get(call)
        if last is None or not 0 < step - last.step < refresh or not last.fits(about, key_mask):
            # A copy: the caller may write into its mask.
            mask = None if key_mask is None else key_mask.clone()
            last = kept[call] = _Kept(step, about, mask, make())
        return last.prediction
