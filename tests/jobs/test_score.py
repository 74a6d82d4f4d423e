"""Scoring folders: what is missing, what fails, what goes on where it was, and who is ahead."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import torch

from humanmotion.cli.main import main
from humanmotion.errors import InputError, UsageError
from humanmotion.jobs import score as score_job
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.score import score
from humanmotion.jobs.score_cache import ScoreCache
from humanmotion.jobs.score_clip import ReadOptions
from humanmotion.jobs.score_output import scores_dict
from humanmotion.jobs.score_prompts import POSE, QUALITY, id_list, read_prompts
from humanmotion.jobs.score_summary import aggregate, ranking, ranks
from humanmotion.metrics.mbench_joints import JOINT_METRICS


@pytest.fixture(scope="module")
def joints(body):
    """(T, 22, 3) at 20 fps, y up."""
    x, y, z = body.joints_of(walking_motion(body, seconds=2.0).resample(20.0))[:, :22].unbind(-1)
    return torch.stack((-x, z, y), -1).numpy()


def _folder(folder, joints, *, ids=range(4), noise=0.0):
    folder.mkdir()
    g = np.random.default_rng(0)
    for i in ids:
        array = joints[: 30 + i] + noise * g.normal(size=joints[: 30 + i].shape)
        np.save(folder / f"{i}.npy", array.astype(np.float32))
    return folder


def _prompts(path, ids, *, other=()):
    rows = [{"global_id": i, "dimension": "Motion_Quality", "prompt": f"walk {i}"} for i in ids]
    rows += [{"global_id": i, "dimension": "Pose_Quality", "prompt": ""} for i in other]
    path.write_text(json.dumps(rows))
    return path


class TestFolders:
    def test_means_are_plain_and_deviations_of_the_population(self, tmp_path, joints):
        (system,) = score([_folder(tmp_path / "a", joints)]).systems
        values = list(system.numbers("Jitter_Degree").values())
        found = aggregate(system, "Jitter_Degree")
        mean = sum(values) / 4
        assert found.mean == pytest.approx(mean) and found.num_samples == 4
        assert found.std == pytest.approx(math.sqrt(sum((v - mean) ** 2 for v in values) / 4))
        assert found.low <= found.mean <= found.high

    def test_a_clip_that_cannot_be_scored_is_listed_with_its_reason(self, tmp_path, joints):
        folder = _folder(tmp_path / "a", joints)
        bad = joints.copy()
        bad[3, 2] = np.nan
        np.save(folder / "9.npy", bad)
        (folder / "10.npy").write_bytes(b"")
        (system,) = score([folder]).systems
        assert {clip.stem for clip in system.failed} == {"9", "10"}
        assert "frame 3" in next(c.error for c in system.failed if c.stem == "9")
        assert aggregate(system, "Jitter_Degree").num_samples == 4
        with pytest.raises(InputError, match="frame 3"):
            score([folder / "9.npy"])

    def test_a_handstand_does_not_turn_the_world_over(self, tmp_path, joints):
        folder = _folder(tmp_path / "a", joints)
        turned = joints * np.array((1.0, -1.0, -1.0)) + np.array((0.0, 1.7, 0.0))
        np.save(folder / "5.npy", turned)
        (system,) = score([folder]).systems
        # Hands on the floor: no foot ever comes near it, though the floor is that of the feet.
        clip = next(clip for clip in system.clips if clip.stem == "5")
        assert clip.error is None
        np.save(tmp_path / "alone.npy", turned)
        alone = score([tmp_path / "alone.npy"]).systems[0].clips[0]
        assert clip.values["Foot_Sliding"] != alone.values["Foot_Sliding"]

    def test_where_there_is_nothing_to_score(self, tmp_path, joints):
        (tmp_path / "empty").mkdir()
        for paths, words in (
            ([tmp_path / "empty"], "holds no motions"), ([tmp_path / "no.npy"], "does not exist"),
            ([], "no path given"),
        ):  # fmt: skip
            with pytest.raises((InputError, UsageError), match=words):
                score(paths)

    def test_folders_of_one_name_are_told_apart_by_the_one_above(self, tmp_path, joints):
        for name in ("ours", "theirs"):
            (tmp_path / name).mkdir()
            _folder(tmp_path / name / "joints", joints, ids=range(1))
        found = score([tmp_path / "ours/joints", tmp_path / "theirs/joints"])
        assert [s.name for s in found.systems] == ["ours/joints", "theirs/joints"]

    def test_two_clips_of_one_name_are_refused(self, tmp_path, joints):
        folder = _folder(tmp_path / "a", joints, ids=range(1))
        (folder / "0.csv").write_text("time,a_x,a_y,a_z\n0,1,2,3\n")
        with pytest.raises(UsageError, match="two files called 0"):
            score([folder])


class TestPrompts:
    def test_missing_clips_are_listed_and_counted(self, tmp_path, joints):
        folder = _folder(tmp_path / "a", joints, ids=(0, 1, 5, 300))
        asked = _prompts(tmp_path / "p.json", range(8), other=range(300, 310))
        (system,) = score([folder], prompts=asked).systems
        assert system.missing == ("2", "3", "4", "6", "7")
        assert system.extra == ("300",)
        assert [clip.stem for clip in system.clips] == ["0", "1", "5"]
        out = scores_dict(score([folder], prompts=asked))
        assert out["missing"] == ["2", "3", "4", "6", "7"]
        assert id_list(system.missing) == "2-4, 6-7"

    def test_numbers_with_zeros_before_them_are_the_same_id(self, tmp_path, joints):
        folder = tmp_path / "a"
        folder.mkdir()
        np.save(folder / "007.npy", joints)
        (system,) = score([folder], prompts=_prompts(tmp_path / "p.json", (7,))).systems
        assert not system.missing

    def test_the_benchmarks_own_files(self, data):
        prompts = read_prompts(data / "mbench" / "mbench_prompts.json")
        entries = read_prompts(data / "mbench" / "mbench_eval_entries.json")
        assert list(prompts.by_id) == list(entries.by_id) == list(range(450))
        for found in (prompts, entries):
            assert found.ids([QUALITY]) == list(range(150))
            assert found.ids([POSE]) == list(range(150, 250))

    @pytest.mark.parametrize(
        "rows",
        [
            {}, [], [1], [{"global_id": "x", "dimension": "Motion_Quality"}],
            [{"global_id": 3, "dimension": "Pose_Quality"}],
        ],
    )  # fmt: skip
    def test_other_files_are_refused(self, tmp_path, rows):
        (tmp_path / "p.json").write_text(json.dumps(rows))
        with pytest.raises(InputError):
            read_prompts(tmp_path / "p.json")


class TestComparison:
    def test_the_noisier_system_is_behind_and_surely_so(self, tmp_path, joints):
        clean = _folder(tmp_path / "clean", joints, ids=range(8))
        noisy = _folder(tmp_path / "noisy", joints, ids=range(8), noise=0.01)
        found = score([noisy, clean], reference=_folder(tmp_path / "mocap", joints))
        assert [name for name, _ in ranking(found.ranked, found.metrics)] == ["clean", "noisy"]
        places = ranks(found.ranked, "Jitter_Degree")
        assert (places["clean"].place, places["clean"].high) == (1, 1)
        assert (places["noisy"].place, places["noisy"].low) == (2, 2)
        assert [s.name for s in found.systems if s.reference] == ["mocap (real)"]
        assert not ranks(found.ranked, "Dynamic_Degree")

    def test_two_of_the_same_are_not_told_apart(self, tmp_path, joints):
        found = score([_folder(tmp_path / "a", joints), _folder(tmp_path / "b", joints)])
        places = ranks(found.ranked, "Foot_Sliding")
        assert {rank.place for rank in places.values()} == {1}

    def test_errors_against_the_truth(self, tmp_path, joints):
        made = _folder(tmp_path / "made", joints)
        real = _folder(tmp_path / "real", joints + np.float32((0.0, 0.0, 0.01)), ids=range(3))
        (system,) = score([made], truth=real).systems
        values = {clip.stem: clip.values for clip in system.clips}
        # A shift is no error of a pose, nor of a world that is aligned.
        for name in ("MPJPE", "PA_MPJPE", "W_MPJPE", "WA_MPJPE", "ACCEL"):
            assert values["0"][name].value == pytest.approx(0.0, abs=1e-2), name
        assert "2 m" in values["0"]["RTE"].reason
        assert "no clip of this name" in values["3"]["MPJPE"].reason


class TestResume:
    def test_a_run_that_was_cut_off_goes_on_where_it_was(self, tmp_path, joints, monkeypatch):
        folder = _folder(tmp_path / "a", joints, ids=range(10))
        output = tmp_path / "out.json"
        real, read, cut = score_job.read_clip, [], []

        def failing(path, options, *, up=None):
            read.append(path)
            if len(read) == 10 and not cut:
                cut.append(path)
                raise KeyboardInterrupt
            return real(path, options, up=up)

        monkeypatch.setattr(score_job, "read_clip", failing)
        with pytest.raises(KeyboardInterrupt):
            score([folder], cache=ScoreCache.beside(output))
        # The last line may have been cut off, too.
        cache = tmp_path / "out.json.cache"
        cache.write_text(cache.read_text() + '\n{"key": "x", "val')
        read.clear()
        found = score([folder], cache=ScoreCache.beside(output))
        assert len(read) == 1 and found.resumed == 9
        assert found.systems == score([folder]).systems
        read.clear()
        # Other settings, or another file, are scored anew.
        score([folder], options=ReadOptions(floor=0.0), cache=ScoreCache.beside(output))
        assert len(read) == 10

    def test_scores_without_truth_do_not_stand_for_those_with_it(self, tmp_path, joints):
        folder, output = _folder(tmp_path / "a", joints), tmp_path / "out.json"
        real = _folder(tmp_path / "real", joints, ids=range(2))
        score([folder], cache=ScoreCache.beside(output))
        (system,) = score([folder], truth=real, cache=ScoreCache.beside(output)).systems
        assert all("MPJPE" in clip.values for clip in system.clips)

    def test_a_clip_that_changed_is_scored_anew(self, tmp_path, joints):
        folder = _folder(tmp_path / "a", joints)
        output = tmp_path / "out.json"
        score([folder], cache=ScoreCache.beside(output))
        np.save(folder / "0.npy", joints[:20])
        assert score([folder], cache=ScoreCache.beside(output)).resumed == 3


class TestCommand:
    def test_all_outputs(self, tmp_path, joints, capsys):
        folder = _folder(tmp_path / "a", joints)
        out = {ending: tmp_path / f"out.{ending}" for ending in ("json", "csv", "html")}
        options = [part for e, path in out.items() for part in (f"--{e}", str(path))]
        asked = _prompts(tmp_path / "p.json", range(6))
        assert main(["score", str(folder), "--prompts", str(asked), *options]) == 0
        said = capsys.readouterr()
        assert "Foot_Sliding" in said.out and "4 scored, 2 missing" in said.out
        assert "2 clips missing: 4-5" in said.err
        found = json.loads(out["json"].read_text())
        assert set(JOINT_METRICS) <= found.keys()
        assert found["Jitter_Degree"]["aggregate"].keys() == {"mean", "std", "num_samples"}
        assert len(found["Jitter_Degree"]["per_motion"]) == 4
        value = found["per_clip"]["2"]["Foot_Sliding"]
        assert value == found["Foot_Sliding"]["per_motion"][2]["value"]
        rows = list(csv.DictReader(out["csv"].open()))
        assert [row["status"] for row in rows] == ["scored"] * 4 + ["missing"] * 2
        assert float(rows[2]["Foot_Sliding"]) == value
        assert not list(tmp_path.glob("*.cache"))
        page = out["html"].read_text()
        assert "Spread over the clips" in page
        # Nothing is replaced unasked.
        assert main(["score", str(folder), "--json", str(out["json"])]) == 1

    def test_one_bad_file_of_several_gives_exit_code_3(self, tmp_path, joints, capsys):
        folder = _folder(tmp_path / "a", joints)
        np.save(folder / "bad.npy", np.zeros((4, 3)))
        assert main(["score", str(folder)]) == 3
        said = capsys.readouterr()
        assert "1 failed" in said.out and "not scored" in said.err

    @pytest.mark.parametrize("options", [
        ["--mode", "released", "--floor", "0"], ["--mode", "released", "--up", "y"],
        ["--fps", "0"], ["--json", "x.json", "--csv", "x.json"], ["--truth", "nowhere"],
    ])  # fmt: skip
    def test_options_that_cannot_be_meant(self, tmp_path, joints, options, monkeypatch):
        monkeypatch.chdir(tmp_path)
        folder = _folder(tmp_path / "a", joints, ids=range(1))
        assert main(["score", str(folder), *options]) == 2

    def test_one_frame_says_why_it_has_no_values(self, tmp_path, joints, capsys):
        np.save(tmp_path / "one.npy", joints[:1])
        assert main(["score", str(tmp_path / "one.npy")]) == 0
        assert "Jitter_Degree has no value in 1 clips: 1 frame" in capsys.readouterr().err

    def test_a_hostile_name_is_text_everywhere(self, tmp_path, joints):
        folder = _folder(tmp_path / "=cmd()<img src=x>", joints, ids=range(1))
        page, rows = tmp_path / "o.html", tmp_path / "o.csv"
        assert main(["score", str(folder), "--html", str(page), "--csv", str(rows)]) == 0
        assert "<img src=x>" not in page.read_text()
        assert rows.read_text().splitlines()[1].startswith("'=cmd")
