"""Which rendered videos are made: edits, single shots by kind of camera, two people; by hash."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from humanmotion.bench.ms_mocap import listing
from humanmotion.bench.rendered import Edit, make_edit
from humanmotion.body import BodyModel
from humanmotion.errors import InputError
from humanmotion.jobs.data import load_clip
from humanmotion.motion import Motion
from humanmotion.recovery.virtual_cameras import KINDS

WALKED_METRES = 1.0
"""How far two people who are filmed together get, at least."""
PAIRED_SHOTS = (2, 3, 4)
ROUNDS = 8
"""Times that all clips are gone through for shots of all kinds."""


def edits(
    data: Path | None, body: BodyModel, *, split: str, counts: dict[int, int]
) -> Iterator[Edit]:
    """So many edits (values) of so many shots (keys), each of another clip where there are enough.

    Raises InputError when `data` holds no motion capture of the split.
    """
    for shots, wanted in counts.items():
        chosen = listing(data, split=split, shots=(shots,))
        made = _made([load_clip(c.clip, body) for c in chosen], body, shots=shots)
        yield from (edit for edit, _ in zip(made, range(wanted), strict=False))


def _made(motions: Sequence[Motion], body: BodyModel, *, shots: int) -> Iterator[Edit]:
    """Edits of all motions in an order drawn once, then again with another seed."""
    order = random.Random(shots).sample(range(len(motions)), len(motions))
    for seed in range(ROUNDS):
        for i in order:
            yield make_edit([motions[i]], body, shots=shots, seed=seed)


def single_shots(data: Path | None, body: BodyModel, *, split: str, each: int) -> Iterator[Edit]:
    """As many shots of each kind of camera, a third of them flashed at.

    Clips that a kind of camera cannot film are left to another kind. Raises InputError when `data`
    holds no motion capture of the split, or too little.
    """
    motions = [load_clip(c.clip, body) for c in listing(data, split=split, shots=(1,))]
    random.Random(1).shuffle(motions)
    left = dict.fromkeys(KINDS, each)
    turns = count()
    for seed in range(ROUNDS):
        for motion in motions:
            open_kinds = [k for k in KINDS if left[k]]
            if not open_kinds:
                return
            kind = open_kinds[next(turns) % len(open_kinds)]
            try:
                edit = make_edit([motion], body, shots=1, seed=seed, kind=kind, flashed=1 / 3)
            except InputError:
                continue
            left[kind] -= 1
            yield edit
    raise InputError(f"{data} holds too few {split} clips for {each} shots of each kind of camera")


def pairs(data: Path | None, body: BodyModel, *, split: str, wanted: int) -> Iterator[Edit]:
    """Edits of two people who both walk, in 2, 3 and 4 shots by turns.

    Raises InputError when `data` holds too little motion capture of the split.
    """
    made, draw = 0, random.Random(2)
    walkers = {n: _walkers(data, body, split=split, shots=n) for n in PAIRED_SHOTS}
    for seed in range(ROUNDS * wanted):
        shots = PAIRED_SHOTS[made % len(PAIRED_SHOTS)]
        if made == wanted or len(walkers[shots]) < 2:
            break
        try:
            edit = make_edit(
                draw.sample(walkers[shots], 2), body, shots=shots, seed=seed, flashed=0.0
            )
        except InputError:
            continue
        made += 1
        yield edit
    if made < wanted:
        raise InputError(f"{data} holds too few {split} clips of walking people for {wanted} pairs")


def _walkers(data: Path | None, body: BodyModel, *, split: str, shots: int) -> list[Motion]:
    chosen = listing(data, split=split, shots=(shots,))
    return [m for c in chosen if _walks(m := load_clip(c.clip, body))]


def _walks(motion: Motion) -> bool:
    away = (motion.transl - motion.transl[0])[:, :2].norm(dim=-1)
    return float(away.max()) >= WALKED_METRES


def fingerprint(made: Sequence[Edit]) -> str:
    """Eight hex digits that change with what is true of the edits."""
    lines = [
        f"{e.name} {len(e)} {e.seed} {e.transitions} {e.flashes} "
        + " ".join(f"{t.kind} {t.room} {t.start} {t.stop}" for t in e.takes)
        for e in made
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]
