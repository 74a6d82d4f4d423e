"""`humanmotion fit`: motion or joint files in, the most plausible bodies out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import joint_points
from humanmotion.errors import UsageError
from humanmotion.files import asset, read_json, read_tensors, write_npz
from humanmotion.io.convert import read_any
from humanmotion.io.joint_track import JointTrack, joint_track
from humanmotion.io.joints_csv import read_joints_csv
from humanmotion.io.npz import write_motion
from humanmotion.io.targets import check_file
from humanmotion.io.trc import read_trc
from humanmotion.motion import MAX_FRAMES, Motion
from humanmotion.prior.fitting import fit_places
from humanmotion.prior.model import PosePrior
from humanmotion.prior.sampling import complete, sample
from humanmotion.prior.scoring import score
from humanmotion.prior.space import EXPRESSION_TOKEN, TOKEN_NAMES, token_mask
from humanmotion.rotations import interpolation_weights, matrix_to_rotvec

WEIGHTS = "prior/prior.safetensors"
FPS = 30.0
"""Frame rate that the prior of movement knows."""
SOLVED_JOINTS = tuple(range(22))
LEAST_SPAN, MOST_SPAN = 0.1, 4.0
"""Metres from corner to corner of the box round the joints of one pose."""


def load_prior(weights: str | Path | None = None) -> PosePrior:
    """The shipped prior, or one that `train prior` wrote; its `.json` lies beside the weights."""
    path = asset(WEIGHTS) if weights is None else Path(weights)
    return PosePrior.from_tensors(read_tensors(path), read_json(path.with_suffix(".json")))


def denoise_file(
    source: str | Path,
    *,
    output: str | Path,
    sigma_mm: float | None = None,
    hypotheses: int = 4,
    weights: str | Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> list[Path]:
    """The likeliest motion behind noisy joints; returns the motion's and the uncertainty's path.

    `source` is a motion file, whose joints are taken as observed, or joint positions (`.csv`,
    `.trc`) named as SMPL-X's joints, any three or more of them. Without `sigma_mm` the noise is
    measured. Raises UsageError for a source that names no joint of the body.
    """
    paths = _targets(output, overwrite=overwrite)
    if hypotheses < 2:
        raise UsageError(f"{hypotheses} hypotheses asked for; a spread takes at least 2")
    body = BodyModel.load()
    track = _observed(Path(source), body)
    names = dict.fromkeys(n for n in track.names if n in body.joint_names[:22])
    which = [body.joint_names.index(n) for n in names]
    if len(which) < 3:
        raise UsageError(
            f"{source} names {len(which)} of the 22 body joints of SMPL-X; give at least 3, for "
            "example pelvis, left_wrist, right_wrist"
        )
    columns = [track.names.index(body.joint_names[j]) for j in which]
    times, xyz = _at_prior_rate(track, columns)
    _check_metres(xyz, source)
    points = joint_points(body, tuple(which), joints=SOLVED_JOINTS, betas=torch.zeros(10))
    fit = fit_places(
        load_prior(weights), points, xyz,
        sigma=None if sigma_mm is None else sigma_mm / 1000, hypotheses=hypotheses, seed=seed,
    )  # fmt: skip
    notes = [f"noise of the joints: {1000 * fit.sigma:.0f} mm"]
    motion = _motion(fit.rotations, fit.place, body, notes=notes, times=times)
    std = fit.joint_std(body)
    # Fingers and face were neither seen nor drawn: nothing is known of them.
    std[:, len(SOLVED_JOINTS) :] = torch.nan
    write_motion(paths[0], motion)
    write_npz(paths[1], {"joint_std_metres": std.numpy(), "times": times.numpy()})
    return paths


def complete_file(
    source: str | Path,
    *,
    output: str | Path,
    hide: Sequence[str],
    hypotheses: int = 1,
    weights: str | Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> list[Path]:
    """The hidden joints of a motion drawn anew, `hypotheses` times; the others stay as they are."""
    first = Path(output)
    numbers = range(1, hypotheses + 1)
    paths = [first] if hypotheses == 1 else [first.with_stem(f"{first.stem}_{n}") for n in numbers]
    for path in paths:
        check_file(path, overwrite=overwrite)
    body, prior = BodyModel.load(), load_prior(weights)
    motion = read_any(source, body=body).resample(FPS)
    known = ~token_mask(*hide) & _present(motion)
    state = prior.space.to_state(motion.rotations, motion.expression)
    found = complete(prior, state, known, hypotheses=hypotheses, seed=seed, kind="motion")
    for path, one in zip(paths, found, strict=True):
        turned = prior.space.to_rotations(one, motion.rotations[:, 0])
        moved = replace(
            motion.with_rotations(turned),
            expression=prior.space.to_expression(one),
            joints_present=torch.ones_like(motion.joints_present),
        )
        write_motion(path, moved)
    return paths


def sample_file(
    output: str | Path,
    *,
    count: int = 1,
    seconds: float = 2.0,
    weights: str | Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> Path:
    """Movements drawn from the prior, one after another in one motion file, facing the viewer."""
    check_file(Path(output), overwrite=overwrite)
    if not (seconds > 0 and count * seconds * FPS <= MAX_FRAMES):
        raise UsageError(
            f"{count} x {seconds} s asked for; give at most {MAX_FRAMES} frames in all"
        )
    body, prior = BodyModel.load(), load_prior(weights)
    frames = max(1, round(seconds * FPS))
    states = sample(prior, count, seed=seed, kind="motion", frames=frames).flatten(0, 1)
    upright = torch.tensor(((1.0, 0, 0), (0, 0, -1), (0, 1, 0)))
    rotations = prior.space.to_rotations(states, upright.expand(len(states), 3, 3))
    joints = body.joints(rotations)
    lowest = (joints[:, [10, 11], 2] - body.sole_offset()).amin(-1)
    place = joints[:, 0] - lowest[:, None] * torch.tensor((0.0, 0.0, 1.0))
    motion = _motion(rotations, place, body, expression=prior.space.to_expression(states))
    write_motion(output, motion)
    return Path(output)


def score_file(source: str | Path, *, weights: str | Path | None = None) -> dict[str, float]:
    """How implausible a motion is: the mean, and each joint's; about 1 is what real motion shows."""
    body, prior = BodyModel.load(), load_prior(weights)
    motion = read_any(source, body=body)
    here = _present(motion)
    state = prior.space.to_state(motion.rotations, motion.expression)
    found = score(prior, state, present=here).mean(0)
    rows = {n: float(v) for n, v, p in zip(TOKEN_NAMES, found, here, strict=True) if p}
    return {"mean": sum(rows.values()) / max(len(rows), 1), **rows}


def _present(motion: Motion) -> Tensor:
    """Tokens `(55)` that the motion's source carries."""
    here = torch.zeros(EXPRESSION_TOKEN + 1, dtype=torch.bool)
    here[:EXPRESSION_TOKEN] = motion.joints_present[1:]
    here[EXPRESSION_TOKEN] = bool((motion.expression != 0).any())
    return here


def _observed(source: Path, body: BodyModel) -> JointTrack:
    readers = {".csv": read_joints_csv, ".trc": read_trc}
    if source.suffix.lower() in readers:
        return readers[source.suffix.lower()](source)
    return joint_track(read_any(source, body=body), body)


def _check_metres(xyz: Tensor, source: str | Path) -> None:
    """Raise UsageError when joints `(T, L, 3)` cannot be those of one body in metres."""
    span = float((xyz.amax(1) - xyz.amin(1)).norm(dim=-1).median())
    if not LEAST_SPAN < span < MOST_SPAN:
        raise UsageError(
            f"the joints of {source} span {span:.3g}; a body in metres spans {LEAST_SPAN} to "
            f"{MOST_SPAN}, so convert them to metres first"
        )


def _at_prior_rate(track: JointTrack, columns: list[int]) -> tuple[Tensor, Tensor]:
    """Times `(T)` at 30 fps and the chosen joints there, linearly between the frames."""
    xyz = track.positions[:, columns].float()
    if len(track.times) < 2:
        return track.times, xyz
    old = track.times.contiguous()
    count = int(float(old[-1] - old[0]) * FPS + 1e-6) + 1
    if count > MAX_FRAMES:
        raise UsageError(
            f"{len(old)} frames over {float(old[-1] - old[0]):.0f} s would become {count} at "
            f"{FPS:g} fps, more than {MAX_FRAMES}; cut the file"
        )
    times = old[0] + torch.arange(count, dtype=torch.float64) / FPS
    low, share = interpolation_weights(old, times)
    high = (low + 1).clamp(max=len(old) - 1)
    return times, torch.lerp(xyz[low], xyz[high], share.float()[:, None, None])


def _motion(
    rotations: Tensor,
    place: Tensor,
    body: BodyModel,
    *,
    expression: Tensor | None = None,
    notes: Sequence[str] = (),
    times: Tensor | None = None,
) -> Motion:
    return Motion.create(
        matrix_to_rotvec(rotations),
        place - body.rest_joints()[0],
        fps=FPS,
        expression=expression,
        times=times,
        body_id=body.body_id,
        body_sha256=body.sha256,
        meta={"notes": list(notes)},
    )


def _targets(output: str | Path, *, overwrite: bool) -> list[Path]:
    """The motion's path and the uncertainty's; raises before anything is computed."""
    path = Path(output)
    if path.suffix.lower() != ".npz":
        raise UsageError(f"{path} given; the result is a motion.npz, convert it afterwards")
    paths = [path, path.with_name(f"{path.stem}_std.npz")]
    for target in paths:
        check_file(target, overwrite=overwrite)
    return paths
