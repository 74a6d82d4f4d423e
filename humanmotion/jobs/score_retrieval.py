"""What `score --retrieval` adds: MBench's two questions about a prompt, put to the evaluator.

It needs prompts, rotations and the evaluator's weights; nothing of it is imported unless it is asked.
"""

from __future__ import annotations

import json
from pathlib import Path

from humanmotion.body import BodyModel
from humanmotion.errors import HumanMotionError, UsageError
from humanmotion.files import sha256
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.retrieval_tasks import RetrievalJudge
from humanmotion.generation.text import TextEncoder
from humanmotion.jobs.evaluator_scores import find_evaluator, load_evaluator, read_threshold
from humanmotion.jobs.score_mesh import JOINTS_ONLY, motion_in
from humanmotion.jobs.score_prompts import CONSISTENCY, WORDS, Prompt
from humanmotion.metrics.mbench_names import CHOICE, MATCH
from humanmotion.metrics.mbench_value import MetricValue
from humanmotion.motion import Motion


class RetrievalMetrics:
    """The 10-way task of the prompts of consistency, the yes/no task of those of generalizability."""

    groups = WORDS

    def __init__(
        self, weights: str | Path | None = None, *, encoder: TextEncoder | None = None
    ) -> None:
        """By the evaluator in a folder, or the shipped one; UsageError where there is none."""
        path = find_evaluator(weights)
        if path is None:
            raise UsageError(
                "no evaluator comes with this version; make one with humanmotion train evaluator and "
                "name its folder by --weights"
            )
        self._judge = RetrievalJudge(
            load_evaluator(path).eval(), encoder or MiniLM.load(), BodyModel.load()
        )
        self._threshold = read_threshold(path)
        self.about = {"evaluator": sha256(path), "match_threshold": self._threshold}
        """What JSON tells of how the values came about."""
        self.digest = json.dumps(["retrieval", self._judge.body.sha256, self.about])

    def takes(self, prompt: Prompt | None) -> bool:
        """Clips of the benchmark's prompts of these groups; a label is needed."""
        return prompt is not None and prompt.group in self.groups

    def of(self, path: Path, prompt: Prompt | None) -> dict[str, MetricValue]:
        """1 or 0 of the clip's own task; no value, and the reason, where there is nothing to judge."""
        if prompt is None or not self.takes(prompt):
            return {}
        name = CHOICE if prompt.group == CONSISTENCY else MATCH
        try:
            motion = motion_in(path, self._judge.body)
            value = MetricValue(None, JOINTS_ONLY) if motion is None else self._told(motion, prompt)
        except HumanMotionError as error:
            value = MetricValue(None, str(error))
        return {name: value}

    def _told(self, motion: Motion, prompt: Prompt) -> MetricValue:
        if prompt.group == CONSISTENCY:
            return self._judge.choice(motion, right=prompt.text, wrong=prompt.wrong)
        if self._threshold is None:
            return MetricValue(
                None,
                "no threshold of real clips lies beside the evaluator; train evaluator writes it",
            )
        return self._judge.match(motion, label=prompt.text, threshold=self._threshold)
