"""Rows of `bench generation` about time: a clip of five seconds, beside a network of MDM's size."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from humanmotion.bench.attention_clock import interleaved
from humanmotion.bench.report import Baseline, Row
from humanmotion.errors import InputError
from humanmotion.generation.features import FPS
from humanmotion.generation.mdm import MDM, PUBLISHED, mdm_sampled
from humanmotion.generation.sampler import TextToMotion
from humanmotion.generation.sampling import noise_of, sampled
from humanmotion.generation.vimogen import frame_plan

SECONDS = 5.0
PROMPT = "a person walks in a circle"
MOST_CLIP, MOST_FEW, MOST_LOAD, LEAST_RATIO = 0.5, 0.12, 3.0, 5.0
"""Seconds, seconds, seconds, times."""
PEER = "MDM's size, 50 steps"


def speed_rows(
    make: TextToMotion, light: TextToMotion | None, weights: Path, *, turns: int
) -> list[Row]:
    """Medians over `turns` that all take in turn; the bars hold for two CPU threads."""
    device = make.network.mean.device
    calls = _calls(make, light)
    times = interleaved(list(calls.values()), turns=turns, device=device)
    wall = {name: t.wall for name, t in zip(calls, times, strict=True)}
    steps, kind = make.sampling.steps, str(make.network.mean.dtype).removeprefix("torch.")
    told = f"guidance {make.sampling.guidance:g}, {steps} steps, {kind}"
    clip = f"prompt to motion of {SECONDS:g} s, {told}"
    rows = [
        Row("speed/clip", f"{clip}, median of {turns}", wall["clip"], "s", MOST_CLIP, "<="),
        Row("speed/few", "the same with the light student, few steps", wall.get("few"), "s",
            MOST_FEW, "<="),
        Row("speed/network", "its sampling alone", wall["network"], "s",
            baseline=Baseline(PEER, wall["peer"])),
        Row("speed/ratio", f"sampling, times faster than a transformer of {PEER}, guidance, {kind}",
            wall["peer"] / wall["network"], "", LEAST_RATIO, ">=", Baseline(PEER, wall["peer"])),
        Row("speed/call", "one call of the network, both halves of guidance",
            1000 * wall["call"], "ms", baseline=Baseline(PEER, 1000 * wall["peer call"])),
        Row("speed/call-ratio", "one call, times faster", wall["peer call"] / wall["call"], ""),
    ]  # fmt: skip
    loading = statistics.median(_load_seconds(weights) for _ in range(1 if turns < 3 else 3))
    loaded = "python started, package imported, weights and text encoder loaded"
    return [*rows, Row("speed/load", loaded, loading, "s", MOST_LOAD, "<=")]


def _calls(make: TextToMotion, light: TextToMotion | None) -> dict[str, Callable[[], object]]:
    frames = round(SECONDS * FPS)
    noise = noise_of(make.network.noise, [0], [frames])
    said = make.condition([PROMPT])
    torch.manual_seed(0)
    peer = MDM(PUBLISHED).eval()
    sentence = torch.randn(1, PUBLISHED.text_width, generator=torch.Generator().manual_seed(0))
    network, two = make.network, torch.cat((noise, noise))
    both = make.condition([PROMPT, PROMPT])
    context, plan = network.context(both), frame_plan(frames)
    plan.step = 0
    half = torch.full((2,), 500.0)
    calls: dict[str, Callable[[], object]] = {
        "clip": partial(make, PROMPT, seconds=SECONDS),
        "network": partial(sampled, network, said, noise, sampling=make.sampling),
        "peer": partial(mdm_sampled, peer, sentence, [frames], seeds=[0]),
        "call": partial(network.velocity, two, half, context, plan=plan),
        "peer call": partial(peer, two, torch.full((2,), 25), sentence=sentence.expand(2, -1)),
    }
    return calls if light is None else calls | {"few": partial(light, PROMPT, seconds=SECONDS)}


def _load_seconds(weights: Path) -> float:
    """Of a process of its own that imports the package and loads everything a prompt needs."""
    code = (
        "import sys; from humanmotion import TextToMotion; "
        "TextToMotion.from_pretrained(sys.argv[1])"
    )
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, str(weights)], capture_output=True, text=True, check=False
    )
    taken = time.perf_counter() - begun
    if done.returncode:
        raise InputError(
            f"{weights} could not be loaded in a process of its own: {done.stderr[-200:]}"
        )
    return taken
