"""Camera-space people in shots to one world: z up, the floor at z = 0, one motion over all cuts.

In order: which shots show a person's back as their front; up in every shot; yaw at every cut; contacts,
paths and planted feet for everybody at once. After HumanMM's chain of alignment and integration, with
gravity known, people's 3D bodies instead of an essential matrix, and an uncertainty at each cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import MotionError
from humanmotion.recovery.alignment import (
    CutAlignment,
    Turn,
    align_sides,
)
from humanmotion.recovery.flip_choice import FlipChoice, as_seen, choose_flips, flip_odds, shot_cost
from humanmotion.recovery.integrator import Placed, WorldPerson, integrate
from humanmotion.recovery.motion_refining import HELPFUL, Part, refine_person
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.refiner import Refiner
from humanmotion.recovery.seams import blend_seams
from humanmotion.recovery.shot_view import (
    BODY_JOINTS,
    JAW,
    Seen,
    ShotFrame,
    ShotView,
    flipped,
    observe,
    shot_frame,
    shot_view,
    side_of,
)
from humanmotion.rotations import rotation_about_z

if TYPE_CHECKING:
    from humanmotion.recovery.odometry import CameraMotion
    from humanmotion.recovery.shots import Shot


@dataclass(frozen=True)
class WorldResult:
    """Everybody and the camera in one world: z up, floor at z = 0, metres, radians.

    The first person seen starts above the origin, the first camera looks along y.
    """

    people: tuple[WorldPerson, ...]
    """In the order given."""
    R_w2c: Tensor
    """`(T, 3, 3)`."""
    t_w2c: Tensor
    """`(T, 3)`."""
    cuts: tuple[CutAlignment, ...]
    """One fewer than shots."""
    flipped: tuple[tuple[bool, ...], ...]
    """Per person and shot: whether front and back were exchanged."""
    gravity_sigma_rad: tuple[float, ...]
    """Per shot: uncertainty of up along the view."""


@dataclass(frozen=True)
class ShotsRead:
    """What every shot shows by itself, and how its neighbours seem to be turned to it."""

    shots: tuple[Shot, ...]
    people: tuple[Seen, ...]
    """With front and back put right."""
    choices: tuple[FlipChoice, ...]
    """Per person."""
    frames: tuple[ShotFrame, ...]
    """Per shot."""
    views: tuple[tuple[ShotView, ...], ...]
    """Per shot and person."""
    guides: int
    """So many of the people decide up, heading and cameras."""
    turns: tuple[tuple[Turn, int], ...]
    """Per cut, and how many people each rests on."""


def to_world(
    tracks: Sequence[PoseTrack],
    *,
    shots: Sequence[Shot],
    cameras: Sequence[CameraMotion],
    body: BodyModel,
    refiner: Refiner | None = None,
) -> WorldResult:
    """One world from `tracks`, one per person over the whole video, and one camera per shot.

    A `refiner` has a say in how everybody moves. Shots follow each other without a gap. Raises
    MotionError when numbers of frames do not fit.
    """
    read = read_shots(tracks, shots=shots, cameras=cameras, body=body)
    return join_shots(read, body=body, refiner=refiner)


def read_shots(
    tracks: Sequence[PoseTrack],
    *,
    shots: Sequence[Shot],
    cameras: Sequence[CameraMotion],
    body: BodyModel,
    flips: bool = True,
) -> ShotsRead:
    """The first half of `to_world`; without `flips` no back is taken to be a front."""
    _check(tracks, shots=shots, cameras=cameras)
    fps = tracks[0].fps
    if flips:
        people, choices = _true_readings(tracks, shots=shots, cameras=cameras, body=body, fps=fps)
    else:
        people = [observe(track, body) for track in tracks]
        choices = [as_seen(len(shots))] * len(tracks)
    guides = _guides(people, shots)
    frames = [
        _frame(people[:guides], shot, camera, fps=fps)
        for shot, camera in zip(shots, cameras, strict=True)
    ]
    views = [tuple(_views(people, frame, body=body, fps=fps)) for frame in frames]
    turns = [_turn(before, after, guides=guides) for before, after in pairwise(views)]
    return ShotsRead(
        shots=tuple(shots), people=tuple(people), choices=tuple(choices), frames=tuple(frames),
        views=tuple(views), guides=guides, turns=tuple(turns),
    )  # fmt: skip


def join_shots(
    read: ShotsRead,
    *,
    body: BodyModel,
    turns: Sequence[Turn] | None = None,
    refiner: Refiner | None = None,
    refined: Set[Part] = HELPFUL,
) -> WorldResult:
    """The second half of `to_world`; `turns`, one per cut, join the shots where they are known.

    A `refiner` has a say in these parts of how everybody moves.
    Raises MotionError when there are not as many turns as cuts.
    """
    found = list(read.turns)
    if turns is not None:
        if len(turns) != len(found):
            raise MotionError(f"{len(turns)} turns given for {len(found)} cuts")
        found = [(turn, common) for turn, (_, common) in zip(turns, found, strict=True)]
    shots, people, fps = read.shots, read.people, read.people[0].track.fps
    R_c2w, placed = place_people(read, [turn for turn, _ in found])
    lengths = [s.stop - s.start for s in shots]
    shot_id = np.repeat(np.arange(len(shots)), lengths)
    still = np.repeat([f.still for f in read.frames], lengths)
    if refiner is not None:
        placed = [
            refine_person(
                refiner, p, body=body, confidence=person.track.confidence[:, BODY_JOINTS],
                times=person.track.times, shot_id=torch.from_numpy(shot_id),
                still=torch.from_numpy(still), parts=refined,
            )
            for p, person in zip(placed, people, strict=True)
        ]  # fmt: skip
    placed = [blend_seams(p, starts=[s.start for s in shots[1:]], fps=fps) for p in placed]
    world, centre = _integrated(
        placed, read.guides, still=still, shot_id=shot_id, fps=fps, body=body
    )
    world, centre = _centred(world, centre, people)
    return WorldResult(
        people=world,
        R_w2c=R_c2w.mT.contiguous(),
        t_w2c=-(R_c2w.mT @ centre[..., None])[..., 0],
        cuts=_cuts(found, read.choices, centre=centre, shots=shots),
        flipped=tuple(c.flipped for c in read.choices),
        gravity_sigma_rad=tuple(f.gravity.pitch_sigma_rad for f in read.frames),
    )


def _true_readings(
    tracks: Sequence[PoseTrack],
    *,
    shots: Sequence[Shot],
    cameras: Sequence[CameraMotion],
    body: BodyModel,
    fps: float,
) -> tuple[list[Seen], list[FlipChoice]]:
    """Everybody with front and back put right, and the choices that did it."""
    people: list[Seen] = []
    choices = []
    for track in tracks:
        shown = observe(track, body)
        turned = flipped(shown, body)
        choice = _flips(
            people[:1], (shown, turned), shots=shots, cameras=cameras, body=body, fps=fps
        )
        choices.append(choice)
        merged = _merged(shown, turned, shots=shots, choice=choice)
        people.append(shown if merged is shown.track else observe(merged, body))
    return people, choices


def _guides(people: Sequence[Seen], shots: Sequence[Shot]) -> int:
    """How many people decide up, heading and cameras: the first alone when every shot shows them.

    Somebody in the background, badly seen, would only pull the cameras off the one that is asked for.
    """
    always = all(bool((people[0].weight[s.start : s.stop] > 0).any()) for s in shots)
    return 1 if always else len(people)


def _integrated(
    placed: Sequence[Placed],
    guides: int,
    *,
    still: NDArray[np.bool_],
    shot_id: NDArray[np.int64],
    fps: float,
    body: BodyModel,
) -> tuple[tuple[WorldPerson, ...], Tensor]:
    """The guides with the cameras, then each other person before those cameras."""
    world, centre = integrate(placed[:guides], still=still, shot_id=shot_id, fps=fps, body=body)
    for other in placed[guides:]:
        found, _ = integrate(
            [other], still=still, shot_id=shot_id, fps=fps, body=body, centre=centre
        )
        world = (*world, *found)
    return world, centre


def _check(
    tracks: Sequence[PoseTrack], *, shots: Sequence[Shot], cameras: Sequence[CameraMotion]
) -> None:
    if not tracks or not shots or not len(tracks[0]):
        raise MotionError("no person or no shot given to to_world; it needs one of each and frames")
    frames = len(tracks[0])
    edges = [0, *(s.stop for s in shots)]
    if [s.start for s in shots] != edges[:-1] or edges[-1] != frames:
        raise MotionError(f"shots must follow each other from 0 to {frames}; they do not")
    if len(cameras) != len(shots):
        raise MotionError(f"{len(cameras)} cameras given for {len(shots)} shots")
    for number, track in enumerate(tracks):
        if len(track) != frames:
            raise MotionError(f"person {number} has {len(track)} frames, the first {frames}")
    for shot, camera in zip(shots, cameras, strict=True):
        if len(camera.R_c2c0) != shot.stop - shot.start:
            raise MotionError(
                f"the camera of frames {shot.start} to {shot.stop} has {len(camera.R_c2c0)} frames"
            )


def _frame(people: Sequence[Seen], shot: Shot, camera: CameraMotion, *, fps: float) -> ShotFrame:
    turn = camera.R_c2c0.to(people[0].joints.dtype)
    still = camera.kind != "moving"
    return shot_frame(
        people, start=shot.start, stop=shot.stop, still=still, R_c2c0=turn, fps=fps, up=camera.up
    )


def _views(
    people: Sequence[Seen], frame: ShotFrame, *, body: BodyModel, fps: float
) -> list[ShotView]:
    return [shot_view(p, frame, sole=body.sole_offset(p.track.betas), fps=fps) for p in people]


def _flips(
    others: Sequence[Seen],
    readings: tuple[Seen, Seen],
    *,
    shots: Sequence[Shot],
    cameras: Sequence[CameraMotion],
    body: BodyModel,
    fps: float,
) -> FlipChoice:
    """In which shots the second reading of a person holds; `others` are people already read."""
    costs, hypotheses = [], []
    seen_face = bool((readings[0].track.confidence[:, JAW] > 0).any())
    for shot, camera in zip(shots, cameras, strict=True):
        pair, cost = [], []
        for reading in readings:
            frame = _frame([*others, reading], shot, camera, fps=fps)
            view = shot_view(reading, frame, sole=body.sole_offset(reading.track.betas), fps=fps)
            face = reading.track.confidence[shot.start : shot.stop, JAW] if seen_face else None
            own = shot_cost(view.motion, facing=view.facing, weight=view.weight, face=face, fps=fps)
            cost.append(frame.gravity.cost + own)
            pair.append(view)
        costs.append((cost[0], cost[1] + flip_odds(pair[0].facing, pair[0].weight)))
        hypotheses.append(pair)
    joins = []
    for before, after in pairwise(hypotheses):
        joins.append(np.array([[_align([b], [a])[0].cost for a in after] for b in before]))
    return choose_flips(costs, joins)


def _merged(true: Seen, turned: Seen, *, shots: Sequence[Shot], choice: FlipChoice) -> PoseTrack:
    if not any(choice.flipped):
        return true.track
    rotations, confidence = true.track.rotations.clone(), true.track.confidence.clone()
    for shot, flip in zip(shots, choice.flipped, strict=True):
        if flip:
            part = slice(shot.start, shot.stop)
            rotations[part] = turned.track.rotations[part]
            confidence[part] = turned.track.confidence[part]
    return replace(true.track, rotations=rotations, confidence=confidence)


def _turn(
    before: Sequence[ShotView], after: Sequence[ShotView], *, guides: int
) -> tuple[Turn, int]:
    """The turn over one cut by the guides, or by everybody where the cut shows none of them."""
    turn, common = _align(before[:guides], after[:guides])
    return (turn, common) if common else _align(before, after)


def _align(before: Sequence[ShotView], after: Sequence[ShotView]) -> tuple[Turn, int]:
    """The turn over one cut, and how many people it rests on."""
    at = float(before[0].times[-1] + after[0].times[0]) / 2
    left = [side_of(v, at=at, last=True) for v in before]
    right = [side_of(v, at=at, last=False) for v in after]
    common = sum(
        bool((a.confidence * b.confidence).amax() > 0) for a, b in zip(left, right, strict=True)
    )
    return align_sides(left, right), common


def place_people(read: ShotsRead, turns: Sequence[Turn]) -> tuple[Tensor, list[Placed]]:
    """Camera-to-world rotations `(T, 3, 3)`, and everybody turned into the world's axes."""
    people, views = read.people, read.views
    heading, turned, upright = 0.0, [], [[] for _ in people]  # type: ignore[var-annotated]
    for s, frame in enumerate(read.frames):
        heading += turns[s - 1].yaw_rad if s else 0.0
        yaw = rotation_about_z(torch.tensor(heading, dtype=frame.turn.dtype))
        turned.append(yaw @ frame.turn)
        for k, view in enumerate(views[s]):
            upright[k].append(yaw @ view.upright @ frame.turn)
    R_c2w = torch.cat(turned)
    placed = []
    for k, person in enumerate(people):
        track = person.track
        rotations = track.rotations.clone()
        rotations[:, 0] = torch.cat(upright[k]) @ track.rotations[:, 0]
        placed.append(
            Placed(
                rotations=rotations,
                betas=track.betas,
                offset=(R_c2w @ person.joints[:, 0, :, None])[..., 0],
                seen=person.weight,
                feet_seen=track.confidence[:, [7, 10, 8, 11]].reshape(-1, 2, 2).mean(-1),
            )
        )
    return R_c2w, placed


def _centred(
    world: Sequence[WorldPerson], centre: Tensor, people: Sequence[Seen]
) -> tuple[tuple[WorldPerson, ...], Tensor]:
    """The world shifted so that the first person is first seen above its origin."""
    seen = people[0].weight > 0
    first = int(seen.nonzero()[0]) if bool(seen.any()) else 0
    shift = world[0].transl[first].clone()
    shift[2] = 0.0
    moved = tuple(replace(p, transl=p.transl - shift) for p in world)
    return moved, centre.to(shift.dtype) - shift


def _cuts(
    turns: Sequence[tuple[Turn, int]],
    choices: Sequence[FlipChoice],
    *,
    centre: Tensor,
    shots: Sequence[Shot],
) -> tuple[CutAlignment, ...]:
    cuts = []
    for i, (turn, common) in enumerate(turns):
        frame = shots[i + 1].start
        cuts.append(
            CutAlignment(
                frame=frame,
                yaw_rad=turn.yaw_rad,
                sigma_rad=min(turn.sigma_rad, math.pi),
                flipped=choices[0].flipped[i] != choices[0].flipped[i + 1],
                flip_doubt=choices[0].doubt[i],
                translation=tuple((centre[frame] - centre[frame - 1]).tolist()),
                residual_m=turn.residual_m,
                people=common,
            )
        )
    return tuple(cuts)
