"""Rows of `bench generation` for motion without end: seams, drift, frames a second, memory."""

from __future__ import annotations

import gc
import statistics
import time
from collections import Counter
from collections.abc import Sequence

import torch

from humanmotion.bench.attention_exact import status_bytes
from humanmotion.bench.generation_control import Clip, moving, peak_rows
from humanmotion.bench.generation_material import Material
from humanmotion.bench.generation_physics import moves
from humanmotion.bench.report import Baseline, Row
from humanmotion.generation.sampler import FILE_FPS
from humanmotion.generation.streaming import CHUNK, stream
from humanmotion.metrics import acceleration_peaks, stance_sole_height

LEAST_RATE = 60.0
MOST_GROWTH = 16.0
"""MiB from the first minute to the last."""
DRIFT, END = 60.0, 10.0
"""Seconds of motion, and how long its ends are that are held against each other."""
MOST_HEIGHT, MOST_JITTER, LEAST_MOVING = 0.02, 1.2, 0.7
WARM = 60.0
"""Seconds of motion after which memory is first looked at."""
PER_PROMPT = 4.0


def known_prompts(material: Material, count: int) -> list[str]:
    """The captions that most training clips have."""
    rows = [row for row in material.shards.rows if row["split"] == "train"]
    said = Counter(c for row in rows for c in row["captions"][: row.get("given", 0)])
    return [caption for caption, _ in sorted(said.items(), key=lambda x: (-x[1], x[0]))[:count]]


def seam_rows(material: Material, chosen: Sequence[Clip]) -> list[Row]:
    """Streams of three captions of four seconds each, one for every three of the chosen clips."""
    peaks: list[float] = []
    captions = [clip.caption for clip in chosen]
    for seed in range(max(len(captions) // 3, 1)):
        prompts = captions[3 * seed : 3 * seed + 3]
        pieces = list(stream(material.make, prompts, seconds=PER_PROMPT, seed=seed))
        cuts = torch.tensor([len(p) for p in pieces]).cumsum(0)[:-1]
        peaks += acceleration_peaks(moving(pieces, material.body), cuts.tolist(), fps=FILE_FPS)
    real = [
        peak
        for clip in chosen
        for peak in acceleration_peaks(clip.joints, range(len(clip.joints)), fps=FILE_FPS)
    ]
    return peak_rows("seam", peaks, real)


def drift_rows(material: Material, *, prompts: int) -> list[Row]:
    """The last ten seconds of a minute against the first ten, means over prompts."""
    texts = known_prompts(material, prompts)
    body, sole = material.body, material.body.sole_offset()
    first: list[dict[str, float]] = []
    last: list[dict[str, float]] = []
    heights = []
    for seed, text in enumerate(texts):
        joints = moving(list(stream(material.make, text, seconds=DRIFT, seed=seed)), body)
        count = round(END * FILE_FPS)
        ends = joints[:count], joints[-count:]
        low = [float(stance_sole_height(e, sole=sole, fps=FILE_FPS)) for e in ends]
        heights.append(abs(low[1] - low[0]))
        for each, end in zip((first, last), ends, strict=True):
            each.append(moves(end, body, fps=FILE_FPS))
    told = f"{DRIFT:g} s of {', '.join(repr(t) for t in texts)}: last {END:g} s against the first"
    by = {
        key: [sum(m[key] for m in end) / len(end) for end in (first, last)]
        for key in ("jitter", "dynamic", "sliding")
    }
    ratio = {key: after / max(before, 1e-9) for key, (before, after) in by.items()}
    return [
        Row("drift/height", f"{told}: level that soles stand at, largest change", max(heights), "m",
            MOST_HEIGHT, "<="),
        Row("drift/jitter", f"{told}: jitter under 6 Hz, times", ratio["jitter"], "", MOST_JITTER,
            "<="),
        Row("drift/dynamic", f"{told}: speed of all joints, times", ratio["dynamic"], "",
            LEAST_MOVING, ">="),
        Row("drift/sliding", f"{told}: sliding", 1000 * by["sliding"][1], "mm/frame",
            baseline=Baseline("the first", 1000 * by["sliding"][0])),
    ]  # fmt: skip


def streaming_rows(material: Material, *, minutes: float) -> list[Row]:
    """Frames a second of the slowest tenth of the windows and of the middle one, and memory."""
    text, taken, frames, seconds = known_prompts(material, 1)[0], [], 0, 60 * minutes
    begun, early, ready = time.perf_counter(), 0, min(WARM, seconds / 2)
    for piece in stream(material.make, text, seconds=seconds):
        now = time.perf_counter()
        taken.append((now - begun) / len(piece))
        frames += len(piece)
        if not early and frames / FILE_FPS >= ready:
            gc.collect()
            early = status_bytes("VmRSS")
        begun = time.perf_counter()
    gc.collect()
    grown = (status_bytes("VmRSS") - early) / 2**20
    slow = sorted(taken)[int(0.9 * len(taken))]
    told = f"{seconds / 60:g} minutes of motion in windows of {CHUNK} frames at 20 fps"
    return [
        Row("streaming/rate", f"{told}: frames at 30 fps a second, median",
            1 / statistics.median(taken), "1/s", LEAST_RATE, ">="),
        Row("streaming/slowest", "nine of ten windows are faster", 1 / slow, "1/s"),
        Row("streaming/memory", f"{told}: memory gained after the first {ready:g} s", grown, "MiB",
            MOST_GROWTH, "<="),
    ]  # fmt: skip
