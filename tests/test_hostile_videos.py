"""Videos that are not what they should be: one clear line, never a traceback or a hang."""

from __future__ import annotations

import os
from contextlib import closing
from fractions import Fraction

import av
import numpy as np
import pytest

from humanmotion.errors import FileFormatError, InputError, NothingFoundError, VideoError
from humanmotion.io import video
from humanmotion.io.video import probe, read_frames, write_video
from humanmotion.recovery.detection import MediaPipeDetector
from humanmotion.recovery.people import find_people


def noise(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def refused(path, error=VideoError) -> str:
    for read in (probe, lambda p: list(read_frames(p))):
        with pytest.raises(error) as caught:
            read(path)
        text = str(caught.value)
        assert "\n" not in text and str(path) in text
    return text


def test_not_a_video(tmp_path):
    for name, content in {
        "text.mp4": b"hello world\n" * 99,
        "noise.mov": os.urandom(4000),
        "art.txt": b"\x1b[31mhello\x1b[0m" * 400,
        "list.m3u8": b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n",
        "list.txt": b"ffconcat version 1.0\nfile clip.mp4\n",
        "zip.mkv": b"PK\x03\x04" + bytes(500),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert "give a video such as mp4" in refused(tmp_path / name)


def test_empty(tmp_path):
    (tmp_path / "empty.mp4").touch()
    assert "empty" in refused(tmp_path / "empty.mp4", FileFormatError)


def test_missing_and_folder(tmp_path):
    assert "does not exist" in refused(tmp_path / "none.mp4", InputError)
    assert "not a file" in refused(tmp_path, InputError)


def test_truncated_without_its_index(tmp_path):
    write_video(tmp_path / "whole.mp4", noise(30), fps=10)
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    assert "index is missing" in refused(tmp_path / "cut.mp4")


@pytest.mark.parametrize("name", ["whole.mkv", "whole.mp4"])
def test_truncated_after_its_index_yields_what_is_there(tmp_path, name):
    whole = tmp_path / name
    options = {"movflags": "faststart"} if name.endswith("mp4") else {}
    with closing(av.open(str(whole), "w", options=options)) as container:
        stream = container.add_stream("libx264", rate=Fraction(10))
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for image in noise(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    cut = tmp_path / f"cut-{name}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    reader = read_frames(cut)
    frames = list(reader)
    assert 5 < len(frames) < 30
    assert any("truncated" in w or "damaged" in w for w in reader.warnings)
    complete = read_frames(whole)
    assert len(list(complete)) == 30 and complete.warnings == ()


def test_damaged_in_the_middle(tmp_path):
    path = tmp_path / "clip.mkv"
    write_video(path, noise(40), fps=10)
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 3000] = os.urandom(3000)
    path.write_bytes(data)
    frames = list(read_frames(path))
    assert len(frames) > 5
    assert np.all(np.diff([t for t, _ in frames]) > 0)


def test_audio_only(tmp_path):
    path = tmp_path / "sound.mp4"
    with closing(av.open(str(path), "w")) as container:
        stream = container.add_stream("aac", rate=44100)
        for i in range(20):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            frame.rate, frame.pts = 44100, i * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert "holds no video, only audio" in refused(path)


def test_one_frame(tmp_path):
    write_video(tmp_path / "one.mp4", noise(1), fps=10)
    frames = list(read_frames(tmp_path / "one.mp4"))
    assert len(frames) == 1 and frames[0][0] == 0


def test_zero_size(tmp_path):
    """A raw video whose header says that its pictures are 0 by 0 pixels."""
    path = tmp_path / "zero.avi"
    with closing(av.open(str(path), "w")) as container:
        stream = container.add_stream("rawvideo", rate=Fraction(10))
        stream.height, stream.width, stream.pix_fmt = 48, 64, "bgr24"
        frame = av.VideoFrame.from_ndarray(noise(1)[0], format="rgb24").reformat(format="bgr24")
        container.mux(stream.encode(frame))
    data = path.read_bytes()
    start = data.index(b"strf") + 12  # width and height of the bitmap header
    path.write_bytes(data[:start] + bytes(8) + data[start + 8 :])
    refused(path)


def test_8k_is_read_and_made_smaller(tmp_path):
    path = tmp_path / "large.mp4"
    write_video(path, [np.full((4320, 7680, 3), 90, np.uint8)] * 2, fps=10)
    reader = read_frames(path, max_side=1280)
    assert (reader.info.width, reader.info.height) == (7680, 4320)
    assert [image.shape for _, image in reader] == [(720, 1280, 3)] * 2


def test_beyond_8k_is_refused(tmp_path):
    path = tmp_path / "wide.mp4"
    write_video(path, [np.zeros((16, video.MAX_SIDE + 16, 3), np.uint8)], fps=10)
    assert "at most 8192" in refused(path)


def test_nobody_in_it(tmp_path):
    write_video(tmp_path / "noise.mp4", noise(6, 240, 320), fps=10)
    with closing(MediaPipeDetector()) as detector:
        with pytest.raises(NothingFoundError, match="no person was found in 6 pictures"):
            find_people(read_frames(tmp_path / "noise.mp4"), detector)
        with pytest.raises(InputError, match="no picture"):
            find_people([], detector)
