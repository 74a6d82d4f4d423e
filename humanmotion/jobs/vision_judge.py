"""MBench's two questions put to a vision-language model, clip by clip; answers are kept and looked up.

Each answer is a JSON file of its own: question, reply, model, endpoint, time, and the hashes of the
motion and of the pictures. A second run asks only what is not answered yet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from humanmotion.body import BodyModel
from humanmotion.body.skeleton import HIPS
from humanmotion.errors import FileFormatError, InputError
from humanmotion.files import read_json, writable_folder, write_json
from humanmotion.jobs.stages import Progress, silent
from humanmotion.jobs.vision_endpoint import VisionEndpoint
from humanmotion.metrics.mbench_value import MetricValue
from humanmotion.metrics.prompt_tasks import Question
from humanmotion.motion import Motion
from humanmotion.viz.judged_clip import RATE, clip_pictures, shown_frames
from humanmotion.viz.render import Renderer, open_renderer

MOST_PICTURES = 60
"""Of a clip: 12 seconds. MBench's prompts are of 10 at most."""
PICTURE_TOKENS = 1032
"""What a picture of 960 x 960 is counted as where tiles of 768 count 258 each; others count less."""
LETTERS_A_TOKEN = 4
REPLY_TOKENS = 80
_JPEG_QUALITY = 90
_VIEW = "judged-clip-1"
"""Changes when pictures of a motion do: old answers are no answers about new ones."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A question about a clip."""

    clip: str
    """File stem."""
    motion: Motion
    question: Question


@dataclass(frozen=True)
class Estimate:
    """What asking will take, told before the first question."""

    questions: int
    kept: int
    """Of them, answered before."""
    pictures: int
    """Of the others."""
    tokens: int
    """Of the others, about."""
    minutes: float
    """At least, at the highest rate of requests."""

    def line(self, *, dollars_per_million_tokens: float | None = None) -> str:
        """For the user, in one line."""
        new = self.questions - self.kept
        text = (
            f"{new} questions to ask and {self.kept} answered before; {self.pictures} pictures, about "
            f"{self.tokens / 1e6:.2f} million tokens, {self.minutes:.0f} minutes or more"
        )
        if dollars_per_million_tokens is None:
            return text
        return f"{text}, about ${self.tokens / 1e6 * dollars_per_million_tokens:.2f}"


@dataclass(frozen=True)
class VisionJudge:
    """A model, the body that clips are shown on, and the folder where its answers lie."""

    endpoint: VisionEndpoint
    body: BodyModel
    folder: Path

    def estimate(self, asked: Sequence[Asked]) -> Estimate:
        """What `scores` would take; clips that cannot be shown are not counted."""
        asked = [a for a in asked if _unshowable(a.motion) is None]
        new = [a for a in asked if not self._path(a).exists()]
        pictures = [len(_frames(a.motion)) for a in new]
        letters = sum(len(a.question.text) for a in new)
        tokens = sum(pictures) * PICTURE_TOKENS + letters // LETTERS_A_TOKEN
        tokens += len(new) * REPLY_TOKENS
        minutes = len(new) / self.endpoint.requests_a_minute
        return Estimate(len(asked), len(asked) - len(new), sum(pictures), tokens, minutes)

    def scores(self, asked: Sequence[Asked], *, progress: Progress = silent) -> list[MetricValue]:
        """One value for each; raises InputError when the endpoint fails, answers so far are kept."""
        writable_folder(self.folder)
        found: list[MetricValue] = []
        renderer: Renderer | None = None
        try:
            for number, one in enumerate(asked):
                if (reason := _unshowable(one.motion)) is not None:
                    found.append(MetricValue(None, reason))
                    continue
                if not self._path(one).exists():
                    renderer = renderer or open_renderer()
                    self._ask(one, renderer)
                found.append(self._score(one))
                progress("answers", (number + 1) / len(asked))
        except InputError as error:
            raise InputError(
                f"clip {one.clip}, {len(found)} of {len(asked)} done: {error}"
            ) from error
        finally:
            if renderer is not None:
                renderer.close()
        return found

    def _ask(self, asked: Asked, renderer: Renderer) -> None:
        pictures = list(motion_pictures(asked.motion, self.body, renderer=renderer))
        reply = self.endpoint.ask(asked.question.text, pictures)
        write_json(self._path(asked), self._key(asked) | {
            "clip": asked.clip,
            "labels": asked.question.labels,
            "right": asked.question.right,
            "reply": reply.text,
            "cut_off": reply.cut_off,
            "tokens": reply.tokens,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "pictures_sha256": [hashlib.sha256(p).hexdigest() for p in pictures],
        })  # fmt: skip

    def _score(self, asked: Asked) -> MetricValue:
        path = self._path(asked)
        held = read_json(path)
        if not isinstance(held, dict) or not isinstance(held.get("reply"), str):
            raise FileFormatError(f"{path} holds no answer; delete it to ask again")
        if {k: held.get(k) for k in self._key(asked)} != self._key(asked):
            raise FileFormatError(f"{path} answers another question; delete it to ask again")
        value = asked.question.score(held["reply"])
        if value.value is None and held.get("cut_off"):
            return MetricValue(None, "the reply was cut off before its answer")
        return value

    def _key(self, asked: Asked) -> dict[str, Any]:
        """All that an answer depends on."""
        return {
            "model": self.endpoint.model,
            "url": self.endpoint.url,
            "view": _VIEW,
            "body_sha256": self.body.sha256,
            "motion_sha256": motion_digest(asked.motion),
            "question": asked.question.text,
        }

    def _path(self, asked: Asked) -> Path:
        digest = hashlib.sha256(json.dumps(self._key(asked), sort_keys=True).encode()).hexdigest()
        return self.folder / f"{digest[:32]}.json"


def motion_pictures(motion: Motion, body: BodyModel, *, renderer: Renderer) -> Iterator[bytes]:
    """JPEGs of a motion, RATE a second."""
    posed = body.pose(motion[torch.tensor(_frames(motion))])
    across = (posed.joints[0, HIPS[1]] - posed.joints[0, HIPS[0]]).numpy()
    facing = np.array((-across[1], across[0], 0.0))
    shown = clip_pictures(
        posed.vertices.numpy(), body.faces.numpy(), facing=facing, renderer=renderer
    )
    for picture in shown:
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        yield cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def motion_digest(motion: Motion) -> str:
    """Hash of what is drawn of a motion."""
    digest = hashlib.sha256()
    for value in (motion.times, motion.rotvec, motion.transl, motion.betas, motion.expression):
        digest.update(np.ascontiguousarray(value.cpu().numpy(), "<f8").tobytes())
    return digest.hexdigest()


def _frames(motion: Motion) -> list[int]:
    return shown_frames(motion.times.tolist(), rate=RATE) if len(motion) else []


def _unshowable(motion: Motion) -> str | None:
    count = len(_frames(motion))
    if not count:
        return "the clip has no frame"
    if count > MOST_PICTURES:
        return (
            f"{motion.duration:.0f} s would be {count} pictures; at most {MOST_PICTURES} are sent"
        )
    return None
