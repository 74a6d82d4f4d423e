"""Filter, then inverse kinematics: joints are smoothed one by one and a body is fitted to them.

Each kind of filter has its width chosen on val for each noise. What noise it leaves is not known: the
best of a few shares of it is taken on test, in the filter's favour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from typing import Protocol

import torch
from torch import Tensor

from humanmotion.bench.prior_denoising import FPS, Denoising, Errors
from humanmotion.bench.prior_methods import Method
from humanmotion.prior.filters import Floats, one_euro, rts_smoother, savitzky_golay

SHARES = (0.3, 0.6, 1.0)


class Filter(Protocol):
    """Smooths a clip `(T, J, 3)` whose coordinates have noise of `sigma` metres."""

    def __call__(self, x: Floats, *, sigma: float) -> Floats: ...


def _rts(x: Floats, *, sigma: float, jerk: float) -> Floats:
    return rts_smoother(x, fps=FPS, process_sigma=jerk, measurement_sigma=sigma)


def _polynomial(x: Floats, *, sigma: float, window: int) -> Floats:
    return savitzky_golay(x, window=window, order=2)


def _one_euro(x: Floats, *, sigma: float, cutoff: float, beta: float) -> Floats:
    return one_euro(x, fps=FPS, min_cutoff=cutoff, beta=beta)


FILTERS: Mapping[str, Sequence[Filter]] = {
    # Metres per second^2.5; frames; hertz, and hertz per metre a second.
    "RTS": [partial(_rts, jerk=j) for j in (3.0, 6.0, 12.0, 25.0, 50.0)],
    "Savitzky-Golay": [partial(_polynomial, window=w) for w in (5, 7, 9, 11, 15, 19, 25)],
    "One-Euro": [
        partial(_one_euro, cutoff=c, beta=b)
        for c, b in product((0.25, 0.5, 1.0, 2.0, 4.0), (0.0, 0.5, 2.0, 8.0))
    ],
}


def filtered(task: Denoising, val: Denoising, method: Method, *, sigma: float) -> dict[str, Errors]:
    """Errors of `method` fitted to joints after each kind of filter."""
    seen, out = task.seen(sigma), {}
    for kind, widths in FILTERS.items():
        smooth = _smoothed(_chosen(widths, val, sigma), seen, sigma)
        found = [task.solved(method, smooth, sigma=share * sigma) for share in SHARES]
        out[kind] = min(found, key=lambda e: float(e.mpjpe.mean()))
    return out


def _chosen(widths: Sequence[Filter], val: Denoising, sigma: float) -> Filter:
    """The one that does best on val joints, before any body is fitted."""
    seen = val.seen(sigma)
    return min(
        widths,
        key=lambda f: float((_smoothed(f, seen, sigma) - val.joints).norm(dim=-1).mean()),
    )


def _smoothed(one: Filter, clips: Tensor, sigma: float) -> Tensor:
    """Joints `(C, T, J, 3)` after the filter."""
    return torch.stack([torch.from_numpy(one(x.numpy(), sigma=sigma)).float() for x in clips])
