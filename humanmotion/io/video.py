"""Video files: pictures by timestamp, upright; and H.264 written back. PyAV underneath.

Frame counts and frame rates that a container claims are never relied on: every picture carries its
own time. Pictures come one at a time, so a long video needs no more memory than a short one.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from humanmotion.errors import OutputError, UsageError, VideoError
from humanmotion.files import atomic_path, existing_file

MAX_SIDE = 8192
"""Larger pictures than 8K are refused: one of them unpacks to more than 200 MB."""
ACCEPTED = "give a video such as mp4, mov, mkv, webm or avi"
_TICKS = 90_000
# Text files are "terminal art" to ffmpeg, and pictures are videos of one frame that never ends.
_NO_VIDEO_FORMATS = {"tty", "lavfi", "hls", "dash", "concat", "image2"}

Image = NDArray[np.uint8]
"""RGB picture `(H, W, 3)`."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself, after its first picture was decoded."""

    width: int
    """Pixels of the upright picture, made square where the file stores others."""
    height: int
    fps: float
    """Average rate the container states; frames may come unevenly, so use their times."""
    duration: float
    """Seconds the container states; 0 when it does not."""
    rotation: int
    """Quarter turns that make the stored picture upright, degrees counterclockwise: 0 to 270."""
    frames_estimate: int
    """`fps * duration`: good for a progress bar, not for sizes."""
    codec: str


class FrameReader:
    """Iterator of `(seconds, picture (H, W, 3) uint8 RGB)` over one video; see `read_frames`."""

    def __init__(self, path: str | Path, *, max_side: int | None = None) -> None:
        if max_side is not None and max_side < 16:
            raise UsageError(f"max_side is {max_side}; give at least 16 pixels, or none")
        self.path = Path(path)
        self._container = _open(self.path)
        self._stream = _video_stream(self._container, self.path)
        self._pictures = self._decode()
        self._damaged: list[float] = []
        self._last = 0.0
        try:
            first = next(self._pictures, None)
            if first is None:
                raise VideoError(f"{self.path} holds no picture that can be decoded; {ACCEPTED}")
            self.info = _describe(self._stream, first[1], self._container)
        except Exception:
            self.close()
            raise
        self._size = _fitted(self.info, max_side)
        self._queue = chain([first], self._pictures)
        self.warnings: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[tuple[float, Image]]:
        return self

    def __next__(self) -> tuple[float, Image]:
        item = next(self._queue, None)
        if item is None:
            self.warnings = self._findings()
            self.close()
            raise StopIteration
        return item[0], self._upright(item[1])

    def close(self) -> None:
        """Let go of the file; reading on ends at once."""
        self._pictures.close()
        self._container.close()

    def _decode(self) -> Generator[tuple[float, Any]]:
        """`(seconds from the first picture, decoded frame)`, times always rising."""
        origin: float | None = None
        step = 1.0 / (_rate(self._stream) or 30.0)
        for frame in self._frames():
            stamp = None if frame.pts is None else float(frame.pts * frame.time_base)
            if origin is None:
                origin, seconds = stamp or 0.0, 0.0
            else:
                seconds = self._last + step if stamp is None else stamp - origin
                if seconds <= self._last:
                    # Repeated or backward stamps occur in edited files; times must rise.
                    seconds = self._last + 0.5 * step
            self._last = seconds
            yield seconds, frame

    def _frames(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError):
                self._damaged.append(self._last)
                return
            if packet is None:
                return
            try:
                yield from packet.decode()
            except (av.error.FFmpegError, OSError):
                # One damaged packet costs its picture, not the rest of the video.
                self._damaged.append(self._last)

    def _upright(self, frame: Any) -> Image:
        width, height = self._size
        if self.info.rotation % 180:
            width, height = height, width
        image = frame.reformat(width, height, format="rgb24", interpolation="AREA").to_ndarray()
        return np.ascontiguousarray(np.rot90(image, self.info.rotation // 90))

    def _findings(self) -> tuple[str, ...]:
        found = []
        if self._damaged:
            found.append(
                f"{self.path.name} is damaged at {self._damaged[0]:.2f} s "
                f"({len(self._damaged)} packets); the pictures that could be decoded are used"
            )
        missing = self.info.duration - self._last
        if missing > max(0.5, 0.05 * self.info.duration):
            found.append(
                f"{self.path.name} stops at {self._last:.2f} s though it claims "
                f"{self.info.duration:.2f} s; it is probably truncated, what is there is used"
            )
        return tuple(found)


def read_frames(path: str | Path, *, max_side: int | None = None) -> FrameReader:
    """Pictures of a video in order: an iterator of `(seconds, (H, W, 3) uint8 RGB)`.

    Upright (the rotation tag is applied), square pixels; seconds are the timestamps, counted from
    the first picture and always rising. With `max_side`, larger pictures are made smaller so that
    the longer side has that many pixels. `info` is at hand at once; `warnings` are complete when
    the pictures end (a truncated or damaged file yields what can be decoded, and a warning).

    Raises InputError (no such file), FileFormatError (empty), VideoError (not a video, no picture
    stream, a picture of zero size or beyond MAX_SIDE, or not one picture can be decoded).
    """
    return FrameReader(path, max_side=max_side)


def probe(path: str | Path) -> VideoInfo:
    """What a video holds, by decoding its first picture; raises as `read_frames`."""
    with closing(FrameReader(path)) as reader:
        return reader.info


def _open(path: Path) -> Any:
    existing_file(path)
    try:
        # Only this one file: a playlist could name others, or addresses in the network.
        container = av.open(str(path.absolute()), options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, OSError, ValueError) as error:
        with path.open("rb") as stream:
            if stream.read(8)[4:] == b"ftyp":
                raise VideoError(
                    f"{path} is an mp4 or mov file whose index is missing or damaged; it was "
                    "probably cut off while it was copied: give the complete file"
                ) from error
        raise VideoError(f"{path} is not a video that can be read; {ACCEPTED}") from error
    if set(container.format.name.split(",")) & _NO_VIDEO_FORMATS:
        container.close()
        raise VideoError(f"{path} is not a video that can be read; {ACCEPTED}")
    return container


def _video_stream(container: Any, path: Path) -> Any:
    # The cover picture of a music file is a video stream to the container, with this bit set.
    streams = [s for s in container.streams.video if not int(s.disposition) & 0x400]
    problem = None
    if not streams:
        kinds = sorted({s.type for s in container.streams}) or ["nothing"]
        problem = f"holds no video, only {' and '.join(kinds)}; {ACCEPTED}"
    elif not streams[0].codec_context.width or not streams[0].codec_context.height:
        problem = f"has a picture of zero size; {ACCEPTED}"
    elif max(streams[0].codec_context.width, streams[0].codec_context.height) > MAX_SIDE:
        size = f"{streams[0].codec_context.width}x{streams[0].codec_context.height}"
        problem = f"is {size}; at most {MAX_SIDE} pixels a side are accepted: scale it down first"
    if problem is not None:
        container.close()
        raise VideoError(f"{path} {problem}")
    streams[0].thread_type = "AUTO"
    return streams[0]


def _rate(stream: Any) -> float:
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate and 0 < float(rate) < 10_000 else 0.0


def _describe(stream: Any, frame: Any, container: Any) -> VideoInfo:
    if max(frame.width, frame.height) > MAX_SIDE:
        raise VideoError(
            f"a picture of {frame.width}x{frame.height} in it; at most {MAX_SIDE} pixels a side"
        )
    rotation = round(frame.rotation / 90) % 4 * 90
    aspect = float(stream.sample_aspect_ratio or 1)
    width = round(frame.width * aspect) if 0.1 < aspect < 10 else frame.width
    size = (frame.height, width) if rotation % 180 else (width, frame.height)
    seconds = float(stream.duration * stream.time_base) if stream.duration else 0.0
    if not seconds and container.duration:
        seconds = container.duration / av.time_base
    fps = _rate(stream)
    return VideoInfo(
        width=size[0],
        height=size[1],
        fps=fps,
        duration=max(seconds, 0.0),
        rotation=rotation,
        frames_estimate=max(1, math.ceil(fps * seconds)),
        codec=stream.codec_context.name,
    )


def _fitted(info: VideoInfo, max_side: int | None) -> tuple[int, int]:
    scale = min(1.0, (max_side or MAX_SIDE) / max(info.width, info.height))
    return max(1, round(info.width * scale)), max(1, round(info.height * scale))


def write_video(
    path: str | Path,
    frames: Iterable[Image],
    *,
    fps: float | None = None,
    times: Sequence[float] | None = None,
    overwrite: bool = True,
) -> None:
    """Write pictures `(H, W, 3)` uint8 RGB as H.264 (yuv420p, plays in browsers), atomically.

    Give `fps`, or `times` in seconds, one for each picture, rising. The format stores even sizes
    only: an odd width or height grows by one pixel, repeating the last column or row.
    Raises UsageError (neither or both rates, sizes that change, times that do not rise or run out,
    no picture) and OutputError (exists, not writable, disk full).
    """
    if (fps is None) == (times is None):
        raise UsageError("write_video takes either fps or times; give one of the two")
    if fps is not None and not 0 < fps < 10_000:
        raise UsageError(f"fps is {fps}; give a rate above 0")
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        raise UsageError(f"no picture to write into {path}; give at least one")
    ticks = _clock(fps, times)
    with atomic_path(path, overwrite=overwrite) as temporary:
        try:
            _encode(temporary, chain([first], pictures), ticks, rate=fps)
        except av.error.FFmpegError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}") from error


def _clock(fps: float | None, times: Sequence[float] | None) -> Iterator[int]:
    last = -1
    for i in range(1 << 62) if times is None else range(len(times)):
        tick = round(i * _TICKS / fps) if fps else round((times[i] - times[0]) * _TICKS)  # type: ignore[index]
        if tick <= last:
            raise UsageError(f"times must rise; they do not at frame {i}")
        last = tick
        yield tick


def _encode(
    path: Path, frames: Iterable[Image], ticks: Iterator[int], *, rate: float | None
) -> None:
    stream: Any = None
    with closing(av.open(str(path), "w")) as container:
        size = (0, 0)
        for image in frames:
            tick = next(ticks, None)
            if tick is None:
                raise UsageError("more pictures than times; give one time for each picture")
            if stream is None:
                size = image.shape[:2]
                stream = _h264_stream(container, size, rate=rate)
            if image.shape != (*size, 3) or image.dtype != np.uint8:
                raise UsageError(
                    f"a picture is {image.shape} {image.dtype}; all must be {(*size, 3)} uint8"
                )
            if size[0] % 2 or size[1] % 2:
                image = np.pad(image, ((0, size[0] % 2), (0, size[1] % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, _TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _h264_stream(container: Any, size: tuple[int, int], *, rate: float | None) -> Any:
    nominal = Fraction(rate or 30.0).limit_denominator(1001)
    stream = container.add_stream("libx264", rate=nominal)
    stream.height, stream.width = size[0] + size[0] % 2, size[1] + size[1] % 2
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, _TICKS)
    # With its lookahead (macroblock tree) x264 gave other bytes for the same pictures now and then.
    options = {"preset": "veryfast", "crf": "20", "rc-lookahead": "0"}
    # Without a rate, reordered frames would make the container's duration wrong.
    stream.options = options if rate else options | {"bf": "0"}
    return stream
