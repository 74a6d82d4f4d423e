"""The frame rate that a BVH file's frame time, printed with few digits, stands for."""

from __future__ import annotations

from decimal import Decimal

COMMON_RATES = (
    *(24.0, 25.0, 30.0, 48.0, 50.0, 60.0, 72.0, 75.0, 80.0, 90.0, 100.0, 120.0, 144.0, 150.0),
    *(180.0, 200.0, 240.0, 250.0, 300.0, 360.0, 480.0, 500.0, 1000.0),
)
BROADCAST_RATES = tuple(rate * 1000 / 1001 for rate in (24.0, 30.0, 48.0, 60.0, 120.0))
"""Taken only where no whole rate fits."""
_CUT_DIGITS = 4
"""Decimals from which on digits may have been cut off in place of rounded."""
_COARSEST = 0.05
"""Of the frame time; 0.1 is ten frames a second and nothing rounded."""
_PRINTED_DIGITS = 6
"""Zeros after this many decimals may be padding of a number that was rounded before."""


def frame_rate(frame_time: str) -> float:
    """Frames a second of a frame time in seconds, as it is printed.

    A common rate whose frame time rounds, or is cut off, to the printed digits is taken: 0.016667
    is 60, 0.008333 is 120, 0.033367 is 29.97. Any other time is its inverse.
    """
    printed = Decimal(frame_time)
    seconds = float(printed)
    decimals = _decimals(printed)
    # One unit of the last place: half for rounding, a whole one for digits cut off.
    slack = 10.0**-decimals * (1.0 if decimals >= _CUT_DIGITS else 0.5)
    for rates in (COMMON_RATES, BROADCAST_RATES):
        near = [rate for rate in rates if abs(1 / rate - seconds) < slack]
        if near and slack < _COARSEST * seconds:
            return min(near, key=lambda rate: abs(1 / rate - seconds))
    return round(1 / seconds, 3) or 1 / seconds


def _decimals(printed: Decimal) -> int:
    exponent = printed.as_tuple().exponent
    shortest = printed.normalize().as_tuple().exponent
    if not isinstance(exponent, int) or not isinstance(shortest, int):
        return 0
    return max(-shortest, min(-exponent, _PRINTED_DIGITS))
