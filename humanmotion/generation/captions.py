"""Captions of clips: cleaned, seen in a mirror, and added to from what the motion itself does.

What is computed (`movement`): speed, direction against the body, turn, steps. Sentences of it are made
from templates; a word that a caption has already is not said again. Heights and speeds are metres and
seconds, z up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.metrics.contact import FEET
from humanmotion.metrics.world import heading
from humanmotion.rotations import wrap_angle

FAR = 1.0
"""Metres from which a clip's whole way is worth a sentence of its own."""
TRAVELS = 0.5
"""A pelvis slower than this on the way, in m/s, does not go anywhere."""
SLOW, FAST, RUNS = 0.8, 1.6, 2.4
"""Bounds of slow, fast and running gaits in m/s on a body with legs of 0.855 m."""
STRIDE = 0.12
"""Metres that a foot is ahead of the other at least when it has stepped there."""
UPRIGHT = 0.5
"""Least upward part of the root's own up for its heading to mean something."""
TURNS, HALF, CIRCLE = 40.0, 135.0, 300.0
"""Degrees of heading from which a turn, a turn around and a circle are spoken of."""
_SWAP = {
    "left": "right", "right": "left",
    "clockwise": "counterclockwise", "counterclockwise": "clockwise",
}  # fmt: skip
_SIDED = re.compile(
    r"\b(left|right|clockwise|counterclockwise)(?=(?:wards?|most|hand|handed|footed)?\b)", re.I
)
_ORDER = re.compile(
    r"\b(then|starts?|stops?|before|after|again|back|twice|times|around|\d+)\b", re.I
)
_GAIT = re.compile(r"\b(walk|run|jog|sprint|march|stride|step|sneak|hop|dash)\w*", re.I)
_PACE = re.compile(r"\b(slow|fast|quick|brisk|speed|hurr|sprint|dash|creep|sneak|casual)\w*", re.I)
_TURN = re.compile(r"\b(turn|circle|spin|pirouette|curve|left|right|\d+ degrees)\w*", re.I)
_WAY = re.compile(r"\b(forward|backward|back|ahead|sideways|drift)\w*", re.I)
_VERBS = {"turning": "turns", "spinning": "spins"}
_NUMBERS = "no one two three four five six seven eight nine ten eleven twelve".split()


def clean_caption(text: str) -> str:
    """A caption with single spaces, one spelling of counterclockwise, and no full stop."""
    text = re.sub(r"\b(anti|counter)[- ]?(?=clockwise\b)", "counter", text, flags=re.I)
    return " ".join(text.split()).rstrip(" .")


def mirrored_caption(text: str) -> str:
    """The caption of the motion in a mirror; twice is the same again, for clean captions."""

    def swapped(match: re.Match[str]) -> str:
        word = match[1]
        other = _SWAP[word.lower()]
        if word.isupper():
            return other.upper()
        return other.capitalize() if word[0].isupper() else other

    return _SIDED.sub(swapped, text)


def sides(text: str) -> tuple[bool, bool]:
    """Whether a caption speaks of the left (or counterclockwise), and of the right (or clockwise).

    An encoder of sentences hardly tells them apart.
    """
    words = {match[1].lower() for match in _SIDED.finditer(text)}
    return bool(words & {"left", "counterclockwise"}), bool(words & {"right", "clockwise"})


def action_label(text: str) -> str:
    """A name for what a trial's description says: its head, the -ing of gaits taken off."""
    head = re.split(r" - |,|/", clean_caption(text).lower(), maxsplit=1)[0]
    words = re.findall(r"[a-z0-9]+", head)
    plain = {"walking": "walk", "running": "run", "jumping": "jump", "dancing": "dance"}
    return "_".join(plain.get(w, w) for w in words) or "unnamed"


@dataclass(frozen=True)
class Movement:
    """What the pelvis and the feet of a clip do as a whole."""

    speed: float
    """Metres per second along the way of the pelvis over the floor."""
    travelled: float
    """Metres from the first to the last place over the floor."""
    direction: str
    """forward, backward, left or right as the body sees it; empty on the spot."""
    turn_deg: float
    """Change of heading added up over the clip, degrees, to the left above 0."""
    steps: int
    """Times the foot in front changes."""


def movement(joints: Tensor, root: Tensor, *, fps: float) -> Movement:
    """What a clip does, from joints `(T, 22, 3)` and root rotations `(T, 3, 3)` at `fps`."""
    seconds = max(len(joints) - 1, 1) / fps
    # A pelvis sways at every step; the way is that of its mean over a second.
    place = _smooth(joints[:, 0, :2], max(1, round(fps)))
    step = place.diff(dim=0)
    facing = heading(root)
    # Who lies or tumbles faces nowhere.
    upright = root[:, 2, 1] > UPRIGHT
    turn = wrap_angle(facing.diff()) * (upright[1:] & upright[:-1])
    speed = float(step.norm(dim=-1).sum()) / seconds
    return Movement(
        speed=speed,
        travelled=float((place[-1] - place[0]).norm()),
        direction=_direction(step, facing) if speed > TRAVELS else "",
        turn_deg=math.degrees(float(turn.sum())),
        steps=_steps(joints, facing),
    )


def _smooth(places: Tensor, width: int) -> Tensor:
    """Running mean over `width` frames `(T, 2)`, shorter at the ends."""
    total = torch.cat((places.new_zeros(1, 2), places.cumsum(0)))
    at = torch.arange(len(places))
    low = (at - width // 2).clamp(min=0)
    high = (at + width // 2 + 1).clamp(max=len(places))
    return (total[high] - total[low]) / (high - low)[:, None]


def _direction(step: Tensor, facing: Tensor) -> str:
    """Where the way leads against the heading, each step as its length weighs."""
    ahead = torch.stack((facing.cos(), facing.sin()), -1)[:-1]
    along = float((step * ahead).sum())
    aside = float((ahead[:, 0] * step[:, 1] - ahead[:, 1] * step[:, 0]).sum())
    if abs(along) >= abs(aside):
        return "forward" if along > 0 else "backward"
    return "left" if aside > 0 else "right"


def _steps(joints: Tensor, facing: Tensor) -> int:
    """How often the foot in front changes in joints `(T, 22, 3)` heading `facing` `(T)`.

    Contacts would not do: at 20 fps a runner's foot hardly stands.
    """
    left, right = FEET
    apart = joints[:, left, :2] - joints[:, right, :2]
    lead = (apart * torch.stack((facing.cos(), facing.sin()), -1)).sum(-1)
    fronts = [x > 0 for x in lead.tolist() if abs(x) > STRIDE]
    return sum(before != now for before, now in pairwise(fronts))


def spoken(move: Movement) -> dict[str, str]:
    """Phrases for what is worth saying of a movement: pace, way, turn and count."""
    said = {}
    if move.direction:
        said["way"] = {"left": "sideways to the left", "right": "sideways to the right"}.get(
            move.direction, move.direction
        )
        said["pace"] = _pace(move.speed)
    if abs(move.turn_deg) >= TURNS:
        said["turn"] = _turning(move)
    if move.direction and 2 <= move.steps < len(_NUMBERS):
        said["count"] = f"taking {_NUMBERS[move.steps]} steps"
    return {name: phrase for name, phrase in said.items() if phrase}


def _pace(speed: float) -> str:
    return "slowly" if speed < SLOW else "quickly" if speed > FAST else ""


def _turning(move: Movement) -> str:
    side = "left" if move.turn_deg > 0 else "right"
    angle = abs(move.turn_deg)
    if angle >= CIRCLE:
        clock = "counterclockwise" if side == "left" else "clockwise"
        return f"in a circle {clock}" if move.direction else f"spinning {clock}"
    return f"turning around to the {side}" if angle >= HALF else f"turning {side}"


def computed_captions(given: Sequence[str], move: Movement) -> tuple[str, ...]:
    """New sentences: captions of gaits with phrases they lack, and one from the movement alone."""
    phrases, out = spoken(move), []
    for caption in given:
        if _GAIT.search(caption) and move.direction and len(caption.split()) > 1:
            out += _extended(caption, phrases)
    if move.travelled > FAR and ("turn" in phrases or not any(map(_GAIT.search, given))):
        verb = "runs" if move.speed > RUNS else "moves"
        told = [phrases[k] for k in ("way", "turn") if k in phrases]
        out.append(" ".join((f"a person {verb}", *told)))
    elif not move.direction and "turn" in phrases and not any(map(_TURN.search, given)):
        out.append(
            "a person " + phrases["turn"].replace("spinning", "spins").replace("turning", "turns")
        )
    return tuple(dict.fromkeys(out))


def _extended(caption: str, phrases: dict[str, str]) -> list[str]:
    taken = {"pace": _PACE, "turn": _TURN, "way": _WAY}
    fit = [k for k in phrases if k not in taken or not taken[k].search(caption)]
    # A gait's way is forward unless said otherwise; it alone is no news.
    told = [k for k in ("pace", "turn", "count") if k in fit]
    return [f"{caption} {phrases[k]}" if k == "pace" else f"{caption}, {phrases[k]}" for k in told]


def of_part(captions: Iterable[str]) -> tuple[str, ...]:
    """Captions that stay true of a part of the clip they were written for."""
    return tuple(c for c in captions if not _ORDER.search(c))


_SENTENCES = {
    "walk": "a person walks", "walking": "a person walks", "run": "a person runs",
    "running": "a person runs", "jump": "a person jumps", "slow walk": "a person walks slowly",
    "brisk walk": "a person walks briskly", "salsa dance": "a person dances salsa",
    "forward jump": "a person jumps forward", "laugh": "a person laughs",
    "cartwheels": "a person does cartwheels", "indian dance": "a person dances an Indian dance",
}  # fmt: skip


def sentences_of(captions: Iterable[str]) -> tuple[str, ...]:
    """Captions, and whole sentences for those that are mere names of common actions."""
    said = list(captions)
    return (*said, *(_SENTENCES[c.lower()] for c in said if c.lower() in _SENTENCES))


_WHO = re.compile(r"^an? (?:person|man|woman|human)\b", re.I)
_PEOPLE = ("a person", "a man", "a woman")
_PACES = ("slowly", "quickly")
_TURNINGS = (
    "turning left", "turning right", "in a circle clockwise", "in a circle counterclockwise",
)  # fmt: skip


def variations(caption: str) -> tuple[str, ...]:
    """New prompts made of a caption: its mirror image, other people, paces and turns that it lacks."""
    found = [mirrored_caption(caption)]
    if _WHO.match(caption):
        found += [_WHO.sub(who, caption) for who in _PEOPLE]
    if _GAIT.search(caption) and len(caption.split()) > 1:
        found += [f"{caption} {pace}" for pace in _PACES if not _PACE.search(caption)]
        found += [f"{caption}, {turn}" for turn in _TURNINGS if not _TURN.search(caption)]
    return tuple(dict.fromkeys(p for p in found if p != caption))


def expanded(captions: Sequence[str], *, count: int, seed: int) -> tuple[str, ...]:
    """`count` prompts: every caption once in random order, then variations of them, then all again.

    The same seed gives the same prompts, and the first ones whatever the count. Raises UsageError
    without a caption.
    """
    own = list(dict.fromkeys(captions))
    if not own:
        raise UsageError("no caption given to be expanded")
    new = [p for p in dict.fromkeys(v for c in own for v in variations(c)) if p not in set(own)]
    generator = torch.Generator().manual_seed(seed)
    order = [part[i] for part in (own, new) for i in torch.randperm(len(part), generator=generator)]
    return tuple(order[i % len(order)] for i in range(count))
