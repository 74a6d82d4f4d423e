"""Sources of every kind to shards: nothing lost without a reason, the same bytes again, resumable."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from humanmotion.cli.main import main
from humanmotion.errors import InputError
from humanmotion.files import sha256
from humanmotion.generation.captions import mirrored_caption
from humanmotion.generation.features import FPS, features_of
from humanmotion.io.amass import write_amass
from humanmotion.io.bvh import write_bvh
from humanmotion.io.npz import read_motion
from humanmotion.jobs import data_build
from humanmotion.jobs.clip_filters import MOCAP, VIDEO, Limits, faults, measured
from humanmotion.jobs.clip_sources import SourceClip, list_sources
from humanmotion.jobs.data import list_clips, load_clip
from humanmotion.jobs.data_build import SEEN, build_data, held_out
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.shards import Shards
from humanmotion.metrics.mbench_joints import jitter_degree
from humanmotion.motion import Motion

FILES = ("index.jsonl", "captions.jsonl", "features.safetensors", "text.safetensors", "report.json")


@pytest.fixture(scope="module")
def long_walk(body) -> Motion:
    return walking_motion(body, seconds=12.1)


@pytest.fixture(scope="module")
def files(tmp_path_factory, body, long_walk) -> Path:
    """An AMASS file with sentences beside it, a BVH of the same walk, and a file that is neither."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "someone").mkdir()
    write_amass(folder / "someone" / "walk_bend_01.npz", long_walk)
    said = "a person walks along a bend.#a/DET person/NOUN#0.0#0.0\nsomeone walks, then turns\n"
    (folder / "someone" / "walk_bend_01.txt").write_text(said)
    write_bvh(folder / "walk-left.bvh", long_walk[:90], body)
    (folder / "broken.bvh").write_text("HIERARCHY\n")
    return folder


@pytest.fixture(scope="module")
def built(files, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("built")
    build_data([files], output=out)
    return out


def by_take(shards: Shards, take: str) -> list[int]:
    return [i for i, row in enumerate(shards.rows) if row["take"].endswith(take)]


class TestFiles:
    def test_long_takes_are_cut_evenly_and_nothing_is_lost(self, built, long_walk, body):
        shards = Shards.read(built)
        parts = by_take(shards, "walk_bend_01")
        lengths = [shards.rows[i]["frames"] for i in parts]
        even = long_walk.resample(FPS)
        assert sum(lengths) == len(even) - 1 > MOCAP.most_frames
        assert len(parts) == 2 and max(lengths) - min(lengths) <= 1
        expected = features_of(even[lengths[0] :], body)
        assert torch.allclose(shards.of_clip(parts[1]), expected, atol=2e-4)

    def test_captions_are_those_beside_the_file(self, built):
        shards = Shards.read(built)
        first = shards.rows[by_take(shards, "walk_bend_01")[0]]
        # What holds of the whole take only ("then") is not said of its half.
        assert first["captions"][: first["given"]] == ["a person walks along a bend"]
        assert any("turning" in c or "circle" in c for c in first["captions"][1:])
        assert first["mirrored_captions"] == [mirrored_caption(c) for c in first["captions"]]
        (other,) = by_take(shards, "walk-left")
        assert shards.rows[other]["captions"][0] == "walk left"
        assert shards.rows[other]["mirrored_captions"][0] == "walk right"

    def test_text_lies_in_the_order_of_the_captions(self, built):
        from humanmotion.generation.minilm import MiniLM

        shards = Shards.read(built)
        assert len(set(shards.captions)) == len(shards.captions) == len(shards.tokens)
        every = {c for r in shards.rows for c in (*r["captions"], *r["mirrored_captions"])}
        assert set(shards.captions) == every | {""} and not shards.captions[0]
        alone = MiniLM.load().encode(shards.captions[-1:])
        length = alone.tokens.shape[1]
        assert torch.allclose(shards.tokens[-1, :length].float(), alone.tokens[0], atol=2e-3)
        assert shards.mask[-1].sum() == length

    def test_what_moves_is_known_and_what_cannot_be_read_is_told(self, built):
        shards, report = Shards.read(built), json.loads((built / "report.json").read_text())
        known = shards.known[by_take(shards, "walk_bend_01")[0]]
        # Of the walk made of sines, the root and the legs move, the feet's tips do not.
        assert known[:3].all() and known[4] and not known[10]
        (reject,) = report["rejects"]
        assert reject["reasons"] == ["unreadable"] and "broken" in reject["error"]
        assert report["limits"] == {"mocap": MOCAP.values(), "video": VIDEO.values()}

    def test_the_same_bytes_again_and_after_an_interruption(
        self, built, files, tmp_path, monkeypatch
    ):
        whole, cut = data_build._cut, []

        def once(*args):
            if cut:
                raise KeyboardInterrupt
            cut.append(whole(*args))
            return cut[0]

        monkeypatch.setattr(data_build, "_cut", once)
        with pytest.raises(KeyboardInterrupt):
            build_data([files], output=tmp_path)
        assert len(list((tmp_path / "parts").glob("*.json"))) == 1
        redone: list[str] = []
        monkeypatch.setattr(
            data_build, "_cut", lambda clip, *rest: (redone.append(clip.id), whole(clip, *rest))[1]
        )
        build_data([files], output=tmp_path)
        assert len(redone) == 2 and not (tmp_path / "parts").exists()
        for name in FILES:
            assert (tmp_path / name).read_bytes() == (built / name).read_bytes(), name


class TestVideos:
    def test_where_a_camera_saw_somebody_go_is_not_known(self, done, tmp_path, no_detector):
        """A video that was reconstructed before is not reconstructed again."""
        source, out = tmp_path / "films", tmp_path / "out"
        source.mkdir()
        video = source / "a_person_walks.mp4"
        shutil.copy(done.video, video)
        place = done.copy(out / "videos" / "films" / "a_person_walks")
        (place / "source.sha256").write_text(sha256(video))
        build_data([source], output=out, video_limits=Limits(sliding=9, jitter=9, penetration=9))
        shards = Shards.read(out)
        assert not shards.known[:, 0].any() and shards.known[:, 1:].any()
        # Nor is anything said of its way.
        assert all(row["captions"] == ["a person walks"] for row in shards.rows)
        expected = read_motion(done.files.motions[0]).duration * FPS
        assert sum(row["frames"] for row in shards.rows) == pytest.approx(expected, abs=1)


class TestFolders:
    def test_splits_bad_frames_and_frozen_joints(self, swaying, tmp_path, body):
        # People who sway about their pelvis touch no floor.
        loose = Limits(penetration=9, sliding=9, jitter=9)
        build_data([swaying], output=tmp_path, limits=loose)
        shards = Shards.read(tmp_path)
        assert {(r["source"], r["split"]) for r in shards.rows} == {
            ("cmu", "train"), ("cmu", "val"), ("rocketbox", "train"), ("rocketbox", "val"),
            ("rocketbox", "test"),
        }  # fmt: skip
        cmu = [i for i, r in enumerate(shards.rows) if r["source"] == "cmu"]
        # Frames 80 and 81 of 90 are bad: 80 are left at 30 fps, and 8 that are too short.
        assert all(shards.rows[i]["frames"] == math.floor(79 / 30 * FPS) for i in cmu)
        known = shards.known[cmu[0]]
        assert not known[[13, 14, 20, 21]].any() and known[[0, 1, 12, 16]].all()
        clip = list_clips(swaying / "cmu", split="train")[0]
        expected = features_of(load_clip(clip, body)[:80].resample(FPS), body)
        assert torch.equal(shards.of_clip(cmu[0]), expected)

    def test_sets_on_request_are_named_only(self, data, tmp_path):
        clips, notes = list_sources([data], work=tmp_path)
        assert {c.source for c in clips} == {"cmu", "rocketbox", "mannequin_cc0"}
        assert any("bandai_nc was left out (CC BY-NC 4.0" in note for note in notes)
        named, _ = list_sources([data / "bandai_nc"], work=tmp_path)
        assert {c.source for c in named} == {"bandai_nc"}

    def test_a_tenth_of_what_is_seen_often_is_held_out(self, data, tmp_path):
        clips, _ = list_sources([data / "bandai_nc"], work=tmp_path)
        held = held_out(clips)
        train = [c for c in clips if c.split == "train"]
        assert held <= {c.id for c in train}
        assert len(held) == pytest.approx(len(train) / 10, rel=0.15)
        # It goes by the id alone: other clips do not move it.
        assert held_out(train[::-1]) == held
        few = [c for c in train if c.action == train[0].action][:4]
        assert not held_out(few)

    def test_held_out_clips_are_marked(self):
        clip = SourceClip(
            id="a", source="s", split="train", action="x", captions=(), load=lambda _: None,
            file=Path("f"),
        )  # fmt: skip
        assert data_build._place(clip, {"split": "train"}, frozenset("a")) == {
            "split": SEEN, "held_out": SEEN,
        }  # fmt: skip
        assert data_build._place(clip, {"split": "train"}, frozenset()) == {"split": "train"}


class TestFilters:
    """Each bound on a figure that misses it alone."""

    def stand(self, frames: int = 60) -> torch.Tensor:
        """A figure that sways a little, soles on the floor."""
        joints = torch.zeros(frames, 22, 3)
        sway = 0.05 * torch.sin(torch.arange(frames) * 0.2)
        joints[:, :7, 2], joints[:, 12:, 2] = 1.0, 1.4
        joints[:, 12:, 0] = sway[:, None]
        return joints

    def missed(self, joints, confidence=None, limits=MOCAP) -> tuple[str, ...]:
        sure = torch.ones(joints.shape[:2]) if confidence is None else confidence
        return faults(measured(joints, sure, sole=torch.zeros(2)), limits)

    def test_a_good_one_misses_none(self):
        assert self.missed(self.stand()) == self.missed(self.stand(), limits=VIDEO) == ()

    def test_each(self):
        assert self.missed(self.stand(1).expand(60, 22, 3)) == ("static",)
        shaken = self.stand()
        shaken[::2, :7] += 0.2
        assert self.missed(shaken) == ("jitter",)
        sunk = self.stand() - torch.tensor((0, 0, 0.06))
        assert self.missed(sunk) == ("penetration",)
        slid = self.stand()
        slid[:, 10:12, 0] += 0.08 * torch.arange(60)[:, None]
        assert self.missed(slid) == ("sliding",)
        jumped = self.stand()
        jumped[30:, :, 0] += 0.6
        assert self.missed(jumped) == ("displacement",)

    def test_what_was_not_seen(self):
        sure = torch.ones(60, 22)
        sure[:7] = 0
        assert self.missed(self.stand(), sure) == ("coverage",)
        sure = torch.ones(60, 22)
        sure[:, :6] = 0.1
        assert self.missed(self.stand(), sure) == ("joints_share",)

    def test_jitter_is_the_mean_second_difference_twice(self):
        joints = torch.randn(9, 22, 3, generator=torch.Generator().manual_seed(0))
        total = 0.0
        for t in range(7):
            for j in range(22):
                for path in (joints[:, j], joints[:, j] - joints[:, 0]):
                    total += float((path[t + 2] - 2 * path[t + 1] + path[t]).norm())
        assert jitter_degree(joints) == pytest.approx(total / (7 * 22), rel=1e-5)


class TestWrongUse:
    def test_one_line_for_what_holds_no_motion(self, tmp_path, capsys):
        assert main(["data", "build", str(tmp_path), "-o", str(tmp_path / "out")]) == 1
        assert "holds no motion; give data folders" in capsys.readouterr().err
        assert main(["data", "build", str(tmp_path / "none"), "-o", str(tmp_path / "out")]) == 1
        assert "does not exist" in capsys.readouterr().err

    def test_the_same_twice(self, files, tmp_path):
        with pytest.raises(InputError, match="is given twice"):
            build_data([files, files], output=tmp_path)

    def test_nothing_kept(self, files, tmp_path):
        with pytest.raises(InputError, match=r"none of 1 clips is kept: .*unreadable"):
            build_data([files / "broken.bvh"], output=tmp_path)

    def test_the_command_prints_a_table_and_reasons(self, files, tmp_path, capsys):
        assert main(["data", "build", str(files), "-o", str(tmp_path), "--quiet"]) == 0
        out = capsys.readouterr().out
        assert "unreadable: 1 clips" in out and "train" in out and "report.json" in out
