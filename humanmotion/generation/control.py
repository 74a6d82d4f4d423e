"""Motion from text that hits what it is told to: keyframes, waypoints, joints, the frames of a gap.

The sampler is given the numbers in question, as noisy as all others at each step, so that the network
makes the rest fit; what smoothing and frame rates leave over is then put right exactly, by turns and
shifts that ease from one hit to the next (Kimodo's order of work: overwrite, then correct).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.generation.easing import eased, frames_at
from humanmotion.generation.features import (
    FPS,
    JOINTS,
    ORIENT,
    POSE,
    POSITIONS,
    SIZE,
    STEP,
    TRANSL,
    TURN,
    VELOCITIES,
    Place,
    body_joints,
    canonical,
    encode,
    rowwise_sixd,
)
from humanmotion.generation.hints import Kept
from humanmotion.generation.reconcile import reconciled
from humanmotion.generation.sampler import (
    BATCH,
    FILE_FPS,
    LONGEST,
    SHORTEST,
    TextToMotion,
    at_file_rate,
)
from humanmotion.generation.sampling import (
    check_seed,
    drawn_features,
    noise_of,
)
from humanmotion.generation.targets import FASTEST, Targets, no_targets, reached, targets_of
from humanmotion.motion import Motion
from humanmotion.rotations import (
    interpolation_weights,
    matrix_to_rotvec,
    resample_rotations,
    rotvec_to_matrix,
)

SAME_METRES = 1e-3
_EYE = torch.eye(3)


@dataclass(frozen=True)
class Control:
    """Poses and places to be hit, at seconds from a motion's start; raises UsageError for none that
    can be: not finite, twice at a time, farther apart than anyone moves.

    The world is the caller's. The motion starts where a keyframe at 0 stands or the path begins,
    ahead being where that faces or leads; without either over the origin, facing y.
    """

    times: Tensor
    """Of the keyframes `(K)`, rising."""
    rotations: Tensor
    """Their local rotations `(K, 22, 3, 3)`, the root's in the world."""
    pelvis: Tensor
    """Their pelvis joints `(K, 3)`, metres."""
    path_times: Tensor
    """Of the waypoints `(P)`, rising."""
    path: Tensor
    """Where the pelvis is to be on the floor `(P, 2)`, metres."""
    targets: Targets = field(default_factory=no_targets)
    """Where single joints are to be."""

    def __post_init__(self) -> None:
        for name in ("times", "rotations", "pelvis", "path_times", "path"):
            if not bool(torch.isfinite(getattr(self, name)).all()):
                raise UsageError(f"{name} of the control are not finite")
        _check_order("keyframes", self.times, self.pelvis[:, :2])
        _check_order("waypoints", self.path_times, self.path)
        self._check_targets()
        where = self.pelvis[:, :2]
        for time, point in zip(self.path_times, self.path, strict=True):
            near = (frames_at(self.times, FILE_FPS) == frames_at(time, FILE_FPS)).nonzero()[:, 0]
            for k in near.tolist():
                if float((where[k] - point).norm()) > SAME_METRES:
                    raise UsageError(
                        f"keyframe and path disagree at {float(time):.2f} s by "
                        f"{float((where[k] - point).norm()):.3f} m; leave one of them out"
                    )

    @classmethod
    def of(
        cls,
        body: BodyModel,
        *,
        keyframes: Motion | None = None,
        path: Sequence[tuple[float, float, float]] = (),
        targets: Sequence[tuple[float, str, float, float, float]] = (),
    ) -> Control:
        """From the frames of a motion on `body`, at their times, waypoints of (seconds, x, y), and
        targets of (seconds, joint, x, y, z), whose joints are those of REACHED."""
        sizes = sorted({len(point) for point in path})
        if sizes not in ([], [3]):
            raise UsageError(f"waypoints of {sizes} numbers given; give three: seconds, x, y")
        points = torch.tensor(list(path), dtype=torch.float32).reshape(-1, 3)
        if keyframes is None:
            empty = torch.zeros(0)
            return cls(empty, torch.zeros(0, JOINTS, 3, 3), torch.zeros(0, 3), points[:, 0],
                       points[:, 1:], targets_of(targets))  # fmt: skip
        pelvis = body.joints_of(keyframes)[:, 0]
        turns = keyframes.rotations[:, :JOINTS]
        return cls(keyframes.times.float(), turns, pelvis, points[:, 0], points[:, 1:],
                   targets_of(targets))  # fmt: skip

    @classmethod
    def around(cls, motion: Motion, body: BodyModel, *, gap: tuple[float, float]) -> Control:
        """All frames at 30 fps of a motion but those within a gap of seconds: in-betweening."""
        even = motion.resample(FILE_FPS)
        start, stop = gap
        times = even.times - even.times[0]
        kept = (times <= start) | (times >= stop)
        if not 0 <= start < stop or bool(kept.all()) or not bool(kept.any()):
            raise UsageError(
                f"gap {start:g} to {stop:g} s given in a motion of {motion.duration:.2f} s; "
                "give one that leaves frames out, and some in"
            )
        return cls.of(body, keyframes=replace(even, times=times)[kept])

    @property
    def last(self) -> float:
        """Seconds of the last thing given, 0 if nothing is."""
        times = torch.cat((self.times, self.path_times, self.targets.times))
        return float(times.max()) if len(times) else 0.0

    def start(self, rest: Tensor) -> Place:
        """Where the motion begins, see above."""
        if len(self.times) and float(self.times[0]) < 0.5 / FPS:
            first = self.rotations[:1], self.pelvis[:1] - rest[0]
            return canonical(*first, rest=rest)[2]
        origin, turn = torch.zeros(3), _EYE
        if len(self.path) and float(self.path_times[0]) < 0.5 / FPS:
            origin = torch.cat((self.path[0], torch.zeros(1)))
            far = (self.path - self.path[0]).norm(dim=-1) > 0.3
            if bool(far.any()):
                x, y = (self.path[far.nonzero()[0, 0]] - self.path[0]).tolist()
                turn = torch.tensor(((y, x, 0.0), (-x, y, 0.0), (0.0, 0.0, 1.0)))
                turn[:2, :2] /= (x * x + y * y) ** 0.5
        return Place(turn, origin)

    def kept(self, frames: int, place: Place, *, rest: Tensor) -> Kept:
        """Features `(1, T, 276)`, not normalised, seen from `place`, and which of them are given."""
        values, mask = torch.zeros(frames, SIZE), torch.zeros(frames, SIZE, dtype=torch.bool)
        back = place.turn.mT
        pelvis = (self.pelvis - place.origin) @ place.turn
        root = back @ self.rotations[:, :1]
        turned = torch.cat((root, self.rotations[:, 1:]), 1)
        points = (torch.nn.functional.pad(self.path, (0, 1)) - place.origin) @ place.turn
        _put_path(values, mask, frames_at(self.path_times, FPS), points[:, :2] - rest[0, :2], rest)
        at, turned, pelvis = _on_grid(self.times, turned, pelvis, frames=frames)
        self.targets.put(values, mask, place, rest=rest)
        _put_poses(values, mask, at, (turned, pelvis - rest[0]), rest)
        return Kept(values[None], mask[None])

    def posed_frames(self) -> Tensor:
        """The frames at 30 fps `(K)` in which more than a place on the floor is given."""
        return torch.cat([frames_at(times, FILE_FPS) for times in (self.times, self.targets.times)])

    def hit(self, motion: Motion, body: BodyModel) -> Motion:
        """`motion` at 30 fps with every keyframe, waypoint and target exactly where it is to be.

        Raises UsageError for targets that no pose reaches together.
        """
        rotations, rest = motion.rotations, body.rest_joints()[0]
        at = frames_at(self.times, FILE_FPS)
        pelvis = motion.transl + rest
        if len(at):
            short = matrix_to_rotvec(rotations[at, :JOINTS].mT @ self.rotations)
            turn = rotvec_to_matrix(eased(at, short, len(motion)))
            rotations = torch.cat((rotations[:, :JOINTS] @ turn, rotations[:, JOINTS:]), 1)
            pelvis = pelvis + eased(at, self.pelvis - pelvis[at], len(motion))
        if len(self.path):
            on = frames_at(self.path_times, FILE_FPS)
            # At keyframes nothing is left to be shifted.
            both = torch.cat((on, at))
            short = torch.cat((self.path - pelvis[on, :2], torch.zeros(len(at), 2)))
            order = both.argsort(stable=True)
            shift = eased(both[order], short[order], len(motion))
            pelvis = pelvis + torch.nn.functional.pad(shift, (0, 1))
        done = motion.with_rotations(rotations, transl=pelvis - rest)
        if not len(self.targets.times):
            return done
        fixed, passed = frames_at(self.times, FILE_FPS), frames_at(self.path_times, FILE_FPS)
        return reached(done, body, self.targets, fixed=fixed, passed=passed)

    def _check_targets(self) -> None:
        """Raise UsageError for targets where a keyframe or a waypoint says something else."""
        at = frames_at(self.targets.times, FILE_FPS)
        posed = torch.isin(at, frames_at(self.times, FILE_FPS)).nonzero()[:, 0]
        if len(posed):
            raise UsageError(
                f"a keyframe at {float(self.targets.times[posed[0]]):.2f} s says where all joints are; "
                "leave the target at that time out"
            )
        for time, point in zip(self.path_times, self.path, strict=True):
            near = (at == frames_at(time, FILE_FPS)) & (self.targets.joints == 0)
            for place in self.targets.places[near]:
                if float((place[:2] - point).norm()) > SAME_METRES:
                    raise UsageError(
                        f"path and target of the pelvis disagree at {float(time):.2f} s; "
                        "leave one of them out"
                    )


def _check_order(name: str, times: Tensor, places: Tensor) -> None:
    """Raise UsageError unless times rise from 0 on, frame by frame, no faster than anyone moves."""
    frames = frames_at(times, FILE_FPS)
    if len(frames) and (int(frames[0]) < 0 or bool((frames.diff() <= 0).any())):
        raise UsageError(
            f"{name} at {[round(float(t), 3) for t in times[:8]]} s given; give times of 0 or more "
            "that rise by a frame at 30 fps or more, each once"
        )
    speed = places.diff(dim=0).norm(dim=-1) / times.diff().clamp(min=1 / FILE_FPS)
    if len(speed) and float(speed.max()) > FASTEST:
        worst = int(speed.argmax())
        raise UsageError(
            f"{name} {worst} and {worst + 1} ask for {float(speed.max()):.0f} m/s; give them at "
            f"most {FASTEST:g} m/s apart"
        )


def _on_grid(
    times: Tensor, rotations: Tensor, pelvis: Tensor, *, frames: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The frames at 20 fps that keyframes `(K, ...)` say something of, and what: `(N, ...)` each.

    Keyframes in a row at 30 fps are a motion, read between its frames; any other is taken to the
    frame that is nearest to it.
    """
    if not len(times):
        return torch.zeros(0, dtype=torch.long), rotations, pelvis
    known, grid = times.double(), torch.arange(frames, dtype=torch.float64) / FPS
    low, share = interpolation_weights(known, grid)
    high = (low + 1).clamp(max=len(known) - 1)
    within = (grid >= known[0] - 1e-6) & (grid <= known[-1] + 1e-6)
    row = within & (known[high] - known[low] < 1.4 / FILE_FPS)
    nearest = torch.where(share < 0.5, low, high)
    alone = frames_at(known[nearest], FPS) == torch.arange(frames)
    between = resample_rotations(rotations, known, grid)
    turned = torch.where(row[:, None, None, None], between, rotations[nearest])
    moved = torch.lerp(pelvis[low], pelvis[high], share.to(pelvis)[:, None])
    moved = torch.where(row[:, None], moved, pelvis[nearest])
    at = (row | alone).nonzero()[:, 0]
    return at, turned[at], moved[at]


def _put_poses(
    values: Tensor, mask: Tensor, at: Tensor, poses: tuple[Tensor, Tensor], rest: Tensor
) -> None:
    """Write poses at frames `at` `(K)`; of two in a row also how the first leads to the second."""
    rotations, transl = poses
    if not len(at):
        return
    values[at, POSE] = rowwise_sixd(rotations[:, 1:]).flatten(1)
    values[at, POSITIONS] = body_joints(rotations, transl, rest=rest).flatten(1)
    values[at, ORIENT] = rowwise_sixd(rotations[:, 0])
    values[at, TRANSL] = transl
    for part in (POSE, POSITIONS, ORIENT, TRANSL):
        mask[at, part] = True
    if len(at) < 2:
        return
    row = at.diff() == 1
    steps = encode(rotations, transl, rest=rest)[row]
    for part in (VELOCITIES, TURN, STEP):
        values[at[:-1][row], part] = steps[:, part]
        mask[at[:-1][row], part] = True


def _put_path(values: Tensor, mask: Tensor, at: Tensor, transl: Tensor, rest: Tensor) -> None:
    """Write waypoints `(P, 2)` of `transl` at frames `at` `(P)`."""
    inside = at < len(values)
    at, transl = at[inside], transl[inside]
    for part, shift in ((TRANSL, 0.0), (POSITIONS, rest[0, :2])):
        columns = slice(part.start, part.start + 2)
        values[at, columns] = transl + shift
        mask[at, columns] = True


def directed(
    make: TextToMotion,
    prompt: str,
    control: Control,
    *,
    seconds: float,
    num: int = 1,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
) -> list[Motion]:
    """`num` motions at 30 fps of a prompt that hit what `control` gives.

    Raises UsageError for a prompt or a length that cannot be, and for hits behind the end.
    """
    sampling = make.sampling.given(steps=steps, guidance=guidance)
    check_seed(seed)
    text, notes = make.checked(prompt)
    _check_length(control, seconds)
    if not 1 <= num <= BATCH:
        raise UsageError(f"{num} motions asked for; give 1 to {BATCH}")
    network, rest = make.network, make.body.rest_joints()
    device, place = network.mean.device, control.start(rest)
    frames = round(seconds * FPS) + 1
    kept = control.kept(frames, place, rest=rest)
    values = network.normalised(kept.values.to(device)).expand(num, -1, -1)
    seeds = [seed * BATCH + k for k in range(num)]
    noise = noise_of(network.noise, seeds, [frames] * num).to(device)
    condition = make.condition([text] * num)
    drawn = drawn_features(network, condition, noise, sampling=sampling, style=make.style,
                    kept=Kept(values, kept.mask.to(device).expand(num, -1, -1)))  # fmt: skip
    features = reconciled(drawn.features, rest=rest, sure=drawn.sure)
    told = condition.text[0], condition.text_mask[0]
    meta = {"text": text, "seed": seed, "notes": list(notes)}
    found = []
    for own, seed_of in zip(features, seeds, strict=True):
        fingers = make.fingers(own, text=told, seed=seed_of)
        motion = at_file_rate(
            own, make.body, seconds=seconds, hands=fingers, place=place, meta=meta
        )
        found.append(control.hit(motion, make.body))
    return found


def _check_length(control: Control, seconds: float) -> None:
    if not SHORTEST <= seconds <= LONGEST:
        raise UsageError(f"{seconds:g} seconds asked for; give {SHORTEST:g} to {LONGEST:g}")
    if int(frames_at(torch.tensor(control.last), FILE_FPS)) >= round(seconds * FILE_FPS):
        raise UsageError(
            f"a keyframe, waypoint or target at {control.last:.2f} s lies behind the motion's end at "
            f"{seconds:g} s"
        )
