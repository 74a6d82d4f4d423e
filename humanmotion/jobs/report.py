"""What a reconstruction says of itself: `report.json`, and the same for the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.metrics import floor_penetration, foot_contact, foot_sliding, jitter
from humanmotion.motion import Motion
from humanmotion.recovery.result import Reconstruction
from humanmotion.viz.page import CutMark, PageReport, Series, ShotSpan

VERSION = 1


def report_values(
    result: Reconstruction, body: BodyModel, *, seconds: Mapping[str, float], source: str
) -> dict[str, Any]:
    """`report.json`: plain numbers, units in the names."""
    main = result.people[0]
    return {
        "version": VERSION,
        "source": source,
        "frames": len(main),
        "fps": main.fps,
        "duration_seconds": main.duration,
        "body": main.body_id,
        "people": len(result.people),
        "shots": _shots(result),
        "cuts": _cuts(result),
        "quality": quality(main, body) | {"reprojection_percent": reprojection_percent(result)},
        "seconds": {name: round(spent, 4) for name, spent in seconds.items()},
        "warnings": list(result.warnings),
    }


def quality(motion: Motion, body: BodyModel) -> dict[str, float]:
    """How physical a motion is, without a truth: sliding, sinking, jitter."""
    joints = body.joints_of(motion)[:, :22]
    sole = body.sole_offset(motion.betas)
    contact = foot_contact(joints, sole=sole, fps=motion.fps)
    # Metres per frame at 30 fps, whatever the video's rate.
    slide = float(foot_sliding(joints, contact)) * motion.fps / 30
    shake = float(jitter(joints, fps=motion.fps).mean()) if len(motion) > 3 else 0.0
    return {
        "sliding_in_own_contacts_mm_per_frame": 1000 * slide,
        "deepest_sole_mm": 1000 * float(floor_penetration(joints, sole=sole).max()),
        "jitter_m_per_s3": shake,
        "path_metres": float(motion.transl[:, :2].diff(dim=0).norm(dim=-1).sum()),
    }


def page_report(result: Reconstruction, body: BodyModel) -> PageReport:
    """Plots, cuts, facts and warnings for the page."""
    main = result.people[0]
    joints = body.joints_of(main)
    facts = [
        ("frames", f"{len(main)} at {main.fps:.3g} fps, {main.duration:.2f} s"),
        ("people", str(len(result.people))),
        ("shots", ", ".join(f"{k} camera" for k in result.camera_kinds)),
        ("focal length", f"{float(result.camera.K[0, 0, 0]):.0f} px"),
        ("body", main.body_id),
    ]
    facts += [(name.replace("_", " "), f"{v:.3g}") for name, v in quality(main, body).items()]
    facts.append(("reprojection", f"{reprojection_percent(result):.2f} % of body height"))
    return PageReport(
        times=main.times.tolist(),
        shots=[ShotSpan(s["start_seconds"], s["end_seconds"], s["camera"]) for s in _shots(result)],
        series=_series(result, joints),
        cuts=[
            CutMark(c["time_seconds"], c["yaw_deg"], c["yaw_sigma_deg"], c["notes"])
            for c in _cuts(result)
        ],
        facts=facts,
        warnings=result.warnings,
        seen={
            name: (person.confidence > 0).any(-1).tolist()
            for name, person in zip(person_names(len(result.people)), result.people, strict=True)
        },
    )


def person_names(people: int) -> list[str]:
    """What the people are called in the GLB and on the page: the chosen one first."""
    return [f"person {number}" for number in range(1, people + 1)]


def _series(result: Reconstruction, joints: Tensor) -> list[Series]:
    main = result.people[0]
    pelvis = joints[:, 0]
    speed = _speed(pelvis, main)
    series = [
        Series("pelvis height", "m", pelvis[:, 2].tolist(), plot="height"),
        Series("speed", "m/s", speed.tolist(), plot="speed"),
    ]
    for column, side in enumerate(("left foot", "right foot")):
        contact = main.contact[:, column].tolist()
        series.append(Series(side, "", contact, plot="contact", kind="contact"))
    error = [100 * v if v > 0 else None for v in result.reprojection.tolist()]
    series.append(Series("reprojection", "% of body height", error, plot="reprojection error"))
    return series


def _speed(pelvis: Tensor, motion: Motion) -> Tensor:
    """Horizontal speed of the pelvis `(T)` in m/s, from the neighbours' times."""
    if len(pelvis) < 2:
        return torch.zeros(len(pelvis))
    times = motion.times.to(pelvis.dtype)
    (rate,) = torch.gradient(pelvis[:, :2], spacing=(times,), dim=0)
    return rate.norm(dim=-1)


def reprojection_percent(result: Reconstruction) -> float:
    """Median distance to the confident keypoints, percent of the height in the picture."""
    seen = result.reprojection[result.reprojection > 0]
    return 100 * float(seen.median()) if len(seen) else 0.0


def _shots(result: Reconstruction) -> list[dict[str, Any]]:
    times: Sequence[float] = result.people[0].times.tolist()
    end = times[-1] + 1 / result.people[0].fps
    return [
        {
            "start_frame": shot.start,
            "stop_frame": shot.stop,
            "start_seconds": times[shot.start],
            "end_seconds": times[shot.stop] if shot.stop < len(times) else end,
            "camera": kind,
            "focal_px": float(result.camera.K[shot.start, 0, 0]),
        }
        for shot, kind in zip(result.shots, result.camera_kinds, strict=True)
    ]


def _cuts(result: Reconstruction) -> list[dict[str, Any]]:
    times: Sequence[float] = result.people[0].times.tolist()
    return [
        {
            "frame": cut.frame,
            "time_seconds": times[cut.frame],
            "yaw_deg": math.degrees(cut.yaw_rad),
            "yaw_sigma_deg": math.degrees(cut.sigma_rad),
            "flipped": cut.flipped,
            "people_on_both_sides": cut.people,
            "notes": "front and back exchanged on one side" if cut.flipped else "",
        }
        for cut in result.cuts
    ]
