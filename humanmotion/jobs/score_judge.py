"""What `score --judge` adds: MBench's two questions about a prompt, put to a vision-language model.

Clips are shown on the default body by a picture of our own, and the questions are ours, so the names
are, too. Answers are kept, one file each; a run that is cut off asks only what is not answered yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from humanmotion.body import BodyModel
from humanmotion.errors import HumanMotionError, UsageError
from humanmotion.jobs.score import Scores
from humanmotion.jobs.score_mesh import JOINTS_ONLY, motion_in
from humanmotion.jobs.score_prompts import CONSISTENCY, WORDS, Prompt, Prompts
from humanmotion.jobs.score_systems import ClipScore, SystemScores
from humanmotion.jobs.stages import Progress, silent
from humanmotion.jobs.vision_endpoint import VisionEndpoint
from humanmotion.jobs.vision_judge import Asked, VisionJudge
from humanmotion.metrics.mbench_names import JUDGED_CHOICE, JUDGED_MATCH
from humanmotion.metrics.mbench_value import MetricValue
from humanmotion.metrics.prompt_tasks import choice_question, match_question


def open_judge(folder: str | Path) -> VisionJudge:
    """The judge that the environment names, its answers in `folder`; UsageError where it names none."""
    endpoint = VisionEndpoint.from_environment()
    if Path(folder).exists() and not Path(folder).is_dir():
        raise UsageError(f"{folder} is a file; --judge takes a folder in which answers are kept")
    return VisionJudge(endpoint, BodyModel.load(), Path(folder))


def judged(
    scores: Scores,
    judge: VisionJudge,
    *,
    tell: Callable[[str], None],
    progress: Progress = silent,
) -> Scores:
    """The scores with the model's answers; `tell` gets what it will take before the first question.

    Raises UsageError for scores without prompts, InputError when the endpoint fails; answers so far
    are kept.
    """
    if scores.prompts is None:
        raise UsageError("a judge is asked about prompts; give --prompts")
    plans = [_Plan(system, scores.prompts, judge.body) for system in scores.systems]
    asked = [one for plan in plans for one in plan.asked.values()]
    tell(judge.estimate(asked).line())
    values = iter(judge.scores(asked, progress=progress))
    systems = tuple(plan.answered({stem: next(values) for stem in plan.asked}) for plan in plans)
    about = scores.about | {"vision_language_model": judge.endpoint.model}
    return replace(scores, systems=systems, about=about)


class _Plan:
    """What is asked of one system's clips, and why some are not asked about."""

    def __init__(self, system: SystemScores, prompts: Prompts, body: BodyModel) -> None:
        self.system = system
        self.names: dict[str, str] = {}
        self.asked: dict[str, Asked] = {}
        self.found: dict[str, MetricValue] = {}
        for clip in system.clips if not system.reference else ():
            prompt = prompts.of(clip.stem)
            if clip.error is not None or prompt is None or prompt.group not in WORDS:
                continue
            self.names[clip.stem] = JUDGED_CHOICE if prompt.group == CONSISTENCY else JUDGED_MATCH
            try:
                self._ask(clip, prompt, body)
            except HumanMotionError as error:
                self.found[clip.stem] = MetricValue(None, str(error))

    def _ask(self, clip: ClipScore, prompt: Prompt, body: BodyModel) -> None:
        motion = motion_in(clip.path, body)
        if motion is None:
            self.found[clip.stem] = MetricValue(None, JOINTS_ONLY)
            return
        if prompt.group == CONSISTENCY:
            question = choice_question(prompt.text, prompt.wrong, clip=clip.stem)
        else:
            question = match_question(prompt.text)
        self.asked[clip.stem] = Asked(clip.stem, motion, question)

    def answered(self, values: dict[str, MetricValue]) -> SystemScores:
        """The system with its clips' answers."""
        found = self.found | values
        clips = tuple(
            replace(c, values=c.values | {self.names[c.stem]: found[c.stem]})
            if c.stem in found else c
            for c in self.system.clips
        )  # fmt: skip
        return replace(self.system, clips=clips)
