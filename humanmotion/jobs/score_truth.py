"""Errors of a clip against ground truth of the same name, in the units tables print them in."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.jobs.score_clip import Clip
from humanmotion.metrics.mbench_joints import FPS, resampled
from humanmotion.metrics.mbench_value import MetricValue
from humanmotion.metrics.pose import mpjpe, pa_mpjpe
from humanmotion.metrics.smoothness import acceleration_error
from humanmotion.metrics.world import rte_share, w_mpjpe, wa_mpjpe

TRUTH_METRICS = ("MPJPE", "PA_MPJPE", "W_MPJPE", "WA_MPJPE", "RTE", "ACCEL")
"""Millimetres, RTE in per cent of the path, ACCEL in m/s^2. At the clips' rate, or else at 20 fps."""
MOST_FRAMES_APART = 2
"""Frames by which one may end later than the other."""
SAME_FPS = 0.01


def truth_metrics(clip: Clip, truth: Clip | None) -> dict[str, MetricValue]:
    """The errors by name; without a value, and with the reason, where they cannot be taken."""
    try:
        if truth is None:
            raise UsageError("the folder of ground truth has no clip of this name")
        made, real, fps = _aligned(clip, truth)
    except UsageError as error:
        return dict.fromkeys(TRUTH_METRICS, MetricValue(None, str(error)))
    measures: dict[str, Callable[[], Tensor]] = {
        "MPJPE": lambda: 1000 * mpjpe(made, real).mean(),
        "PA_MPJPE": lambda: 1000 * pa_mpjpe(made, real).mean(),
        "W_MPJPE": lambda: 1000 * w_mpjpe(made, real).mean(),
        "WA_MPJPE": lambda: 1000 * wa_mpjpe(made, real).mean(),
        "RTE": lambda: 100 * rte_share(made[:, 0], real[:, 0]),
        "ACCEL": lambda: acceleration_error(made, real, fps=fps).mean(),
    }
    return {name: _value(measure) for name, measure in measures.items()}


def _aligned(clip: Clip, truth: Clip) -> tuple[Tensor, Tensor, float]:
    """Joints of both, those that both have, over the same frames, and the rate."""
    for one in (clip, truth):
        if one.scene.present is not None and not bool(one.scene.present.all()):
            raise UsageError("it or its ground truth lacks some of the 22 joints")
    pair, fps = (clip.joints, truth.joints), clip.scene.fps
    if abs(fps - truth.scene.fps) > SAME_FPS or len(pair[0]) != len(pair[1]):
        pair, fps = (_at_20(clip), _at_20(truth)), FPS
    frames = min(map(len, pair))
    if max(map(len, pair)) - frames > MOST_FRAMES_APART:
        raise UsageError(
            f"it lasts {clip.seconds:.2f} s and its ground truth {truth.seconds:.2f} s; give one span"
        )
    return pair[0][:frames], pair[1][:frames], fps


def _at_20(clip: Clip) -> Tensor:
    return resampled(clip.joints, clip.scene)


def _value(measure: Callable[[], Tensor]) -> MetricValue:
    try:
        return MetricValue(float(measure()), None)
    except UsageError as error:
        return MetricValue(None, str(error))
