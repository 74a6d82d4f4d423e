"""Video: pictures come back by their own times, upright, and what is written can be read."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction

import av
import numpy as np
import pytest

from humanmotion.errors import OutputError, UsageError
from humanmotion.io.video import probe, read_frames, write_video


def pictures(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Smooth pictures that all differ: brightness tells the number, a ramp tells what is up."""
    ramp = np.linspace(0, 60, height)[:, None, None] + np.linspace(0, 20, width)[None, :, None]
    return [(ramp + 6 * i + np.zeros(3)).astype(np.uint8) for i in range(count)]


def read_all(path, **options):
    return list(read_frames(path, **options))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("size", [(48, 64), (64, 48)])
def test_what_is_written_is_read(tmp_path, suffix, size):
    path = tmp_path / f"clip{suffix}"
    frames = pictures(12, *size)
    write_video(path, frames, fps=25)
    got = read_all(path)
    assert len(got) == 12
    for i, (seconds, image) in enumerate(got):
        assert seconds == pytest.approx(i / 25, abs=2e-3)
        assert image.shape == frames[i].shape and image.dtype == np.uint8
        assert np.abs(image.astype(int) - frames[i]).mean() < 4


def test_rate_of_ntsc_is_kept(tmp_path):
    write_video(tmp_path / "clip.mp4", pictures(20), fps=30000 / 1001)
    assert probe(tmp_path / "clip.mp4").fps == pytest.approx(29.97, abs=0.02)


def test_uneven_times_come_back(tmp_path):
    times = [0.0, 0.1, 0.15, 0.4, 0.41, 1.0, 2.5]
    write_video(tmp_path / "clip.mp4", pictures(7), times=times)
    assert [t for t, _ in read_all(tmp_path / "clip.mp4")] == pytest.approx(times, abs=1e-3)
    assert probe(tmp_path / "clip.mp4").duration >= 2.5


def test_times_count_from_the_first_picture(tmp_path):
    write_video(tmp_path / "clip.mp4", pictures(3), times=[7.0, 7.5, 8.0])
    assert [t for t, _ in read_all(tmp_path / "clip.mp4")] == pytest.approx([0, 0.5, 1])


@pytest.mark.parametrize("size", [(47, 64), (48, 63), (47, 63), (1, 1)])
def test_odd_sizes_grow_by_one_repeated_line(tmp_path, size):
    frames = pictures(3, *size)
    write_video(tmp_path / "clip.mp4", frames, fps=10)
    for i, (_, image) in enumerate(read_all(tmp_path / "clip.mp4")):
        assert image.shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
        padded = np.pad(frames[i], ((0, size[0] % 2), (0, size[1] % 2), (0, 0)), mode="edge")
        assert np.abs(image.astype(int) - padded).mean() < 5


def write_turned(path, frames, degrees: int) -> None:
    with closing(av.open(str(path), "w")) as container:
        stream = container.add_stream("libx264", rate=Fraction(10))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(degrees)
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def clockwise_turns_in_header(path) -> int:
    """Quarter turns clockwise that the mp4 header's matrix asks of a player (ISO 14496-12)."""
    data = path.read_bytes()
    start = data.index(b"tkhd") + 4
    matrix = np.frombuffer(data[start + 40 : start + 60], ">i4")
    right = (matrix[0] >> 16, matrix[1] >> 16)  # where the picture's right side goes: x, y down
    return [(1, 0), (0, 1), (-1, 0), (0, -1)].index(right)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_tag_is_applied(tmp_path, degrees):
    path = tmp_path / "clip.mp4"
    upright = pictures(3)[0]
    write_turned(path, [upright] * 3, degrees)
    shown = np.rot90(upright, -clockwise_turns_in_header(path))
    info = probe(path)
    assert (info.height, info.width) == shown.shape[:2]
    for _, image in read_all(path):
        assert image.shape == shown.shape
        assert np.abs(image.astype(int) - shown).mean() < 4


def test_larger_pictures_are_made_smaller(tmp_path):
    write_video(tmp_path / "clip.mp4", pictures(2, 90, 160), fps=5)
    assert read_all(tmp_path / "clip.mp4", max_side=80)[0][1].shape == (45, 80, 3)
    assert read_all(tmp_path / "clip.mp4", max_side=400)[0][1].shape == (90, 160, 3)
    write_turned(tmp_path / "turned.mp4", pictures(2, 90, 160), 90)
    assert read_all(tmp_path / "turned.mp4", max_side=80)[0][1].shape == (80, 45, 3)


def test_pixels_are_made_square(tmp_path):
    path = tmp_path / "clip.mkv"
    with closing(av.open(str(path), "w")) as container:
        stream = container.add_stream("libx264", rate=Fraction(10))
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for image in pictures(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    assert (probe(path).width, probe(path).height) == (96, 48)
    assert read_all(path)[0][1].shape == (48, 96, 3)


def test_a_container_may_not_know_its_length(tmp_path):
    path = tmp_path / "clip.h264"
    write_video(tmp_path / "clip.mp4", pictures(9), fps=10)
    with closing(av.open(str(tmp_path / "clip.mp4"))) as source:
        packets = [bytes(p) for p in source.demux(video=0) if p.size]
        extra = bytes(source.streams.video[0].codec_context.extradata)
    # An elementary stream has start codes where mp4 has lengths, and no times at all.
    size = extra[6] << 8 | extra[7]
    sps, rest = extra[8 : 8 + size], extra[8 + size :]
    pps = rest[3 : 3 + (rest[1] << 8 | rest[2])]
    body = b"".join(b"\0\0\0\1" + unit for unit in (sps, pps, *_units(packets)))
    path.write_bytes(body)
    times = [t for t, _ in read_all(path)]
    assert len(times) == 9 and times[0] == 0 and np.all(np.diff(times) > 0)


def _units(packets):
    for packet in packets:
        while packet:
            size = int.from_bytes(packet[:4], "big")
            yield packet[4 : 4 + size]
            packet = packet[4 + size :]


def test_the_same_pictures_give_the_same_bytes(tmp_path):
    for i in range(10):
        write_video(tmp_path / f"{i}.mp4", pictures(10), fps=10)
    assert len({(tmp_path / f"{i}.mp4").read_bytes() for i in range(10)}) == 1


def test_pictures_are_not_kept(tmp_path):
    """A generator is drawn one picture at a time, and reading hands them on one at a time."""
    drawn = []

    def source():
        for i, image in enumerate(pictures(40)):
            drawn.append(i)
            yield image

    write_video(tmp_path / "clip.mp4", source(), fps=10)
    assert drawn == list(range(40))
    reader = read_frames(tmp_path / "clip.mp4")
    next(reader)
    reader.close()


@pytest.mark.parametrize(
    ("frames", "options", "said"),
    [
        (pictures(2), {}, "either fps or times"),
        (pictures(2), {"fps": 10, "times": [0, 1]}, "either fps or times"),
        (pictures(2), {"fps": 0}, "fps is 0"),
        (pictures(2), {"times": [0, 0]}, "rise"),
        (pictures(2), {"times": [0]}, "more pictures than times"),
        ([], {"fps": 10}, "no picture"),
        ([*pictures(1), *pictures(1, 50, 50)], {"fps": 10}, "all must be"),
        ([np.zeros((48, 64, 3), np.float32)], {"fps": 10}, "uint8"),
    ],
)
def test_wrong_use_is_named_and_nothing_is_left(tmp_path, frames, options, said):
    with pytest.raises(UsageError, match=said):
        write_video(tmp_path / "clip.mp4", frames, **options)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        write_video(path, pictures(2), fps=10, overwrite=False)
    assert path.read_bytes() == b"mine"


def test_a_source_that_fails_leaves_nothing(tmp_path):
    def source():
        yield from pictures(3)
        raise RuntimeError("renderer gone")

    with pytest.raises(RuntimeError, match="renderer gone"):
        write_video(tmp_path / "clip.mp4", source(), fps=10)
    assert list(tmp_path.iterdir()) == []


def test_the_clips_of_the_data_set(data):
    counts = {"pose2sim_multishot_3shot": 96, "mmhuman3d_single_person": 40}
    for name, frames in counts.items():
        reader = read_frames(data / "videos" / f"{name}.mp4", max_side=160)
        times = [t for t, _ in reader]
        assert len(times) == frames and reader.warnings == ()
        assert times[-1] == pytest.approx((frames - 1) / reader.info.fps, abs=1e-3)
