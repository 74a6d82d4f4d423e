"""Generating: files by name, one page for all, lengths, control, and a line for whatever cannot be."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError, InputError, OutputError, UsageError
from humanmotion.io.bvh import read_bvh, write_bvh
from humanmotion.io.npz import read_motion, write_motion
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.generate import Generated, generate
from humanmotion.metrics import floor_penetration
from humanmotion.motion import Motion
from tests.jobs.tiny_generator import WALK, WAVE, tiny_generator


@pytest.fixture(scope="module")
def walk(body) -> Motion:
    return walking_motion(body, seconds=3)


@pytest.fixture(scope="module")
def weights(tmp_path_factory, body, walk) -> Path:
    return tiny_generator(tmp_path_factory.mktemp("generator"), walk, body)


@pytest.fixture
def run(weights):
    def with_weights(*args, **options) -> Generated:
        return generate(*args, **({"weights": weights, "steps": 2} | options))

    return with_weights


def script(page: Path, name: str) -> str:
    found = re.search(
        rf'<script type="[a-z/]+" id="{name}">(.*?)</script>', page.read_text("utf-8"), re.DOTALL
    )
    assert found is not None
    return found[1]


class TestFiles:
    @pytest.mark.parametrize("ending", [".npz", ".amass.npz", ".smplx.npz", ".bvh", ".glb", ".trc"])
    def test_the_ending_is_the_format(self, run, tmp_path, ending):
        path = tmp_path / f"walk{ending}"
        made = run(WALK, output=path, seconds=1.0)
        assert made.motions == (path,) and made.page is None
        assert [p.name for p in tmp_path.iterdir()] == [path.name]

    def test_the_same_seed_gives_the_same_bytes(self, run, tmp_path):
        paths = [tmp_path / f"{i}.npz" for i in range(3)]
        for path, seed in zip(paths, (4, 4, 5), strict=True):
            run(WALK, output=path, seconds=1.0, seed=seed)
        first, again, other = (path.read_bytes() for path in paths)
        assert first == again != other

    def test_several_are_numbered_and_shown_on_a_page(self, run, tmp_path):
        made = run([WALK, WAVE], output=tmp_path / "take.npz", num=2, seconds=[1.0, 2.0])
        assert [p.name for p in made.motions] == [f"take_{i}.npz" for i in (1, 2, 3, 4)]
        motions = [read_motion(p) for p in made.motions]
        assert [m.meta["text"] for m in motions] == [WALK, WALK, WAVE, WAVE]
        assert [len(m) for m in motions] == [30, 30, 60, 60]
        assert len({float(m.transl.sum()) for m in motions}) == 4
        assert made.page == tmp_path / "take.html"
        glb = base64.b64decode(script(made.page, "glb"))
        tree = json.loads(glb[20 : 20 + int.from_bytes(glb[12:16], "little")])
        assert len(tree["skins"]) == 4
        report = json.loads(script(made.page, "report"))
        assert report["side_by_side"] and [name for name, _ in report["facts"]] == [
            f"1 {WALK}", f"2 {WALK}", f"3 {WAVE}", f"4 {WAVE}",
        ]  # fmt: skip

    def test_a_folder_has_names_of_words(self, run, tmp_path):
        made = run([WALK, "Küsst! die Hand"], output=tmp_path / "all", num=2, seconds=0.5)
        assert [p.name for p in made.motions] == [
            "1-a-person-walks-in-a-circle_1.glb", "1-a-person-walks-in-a-circle_2.glb",
            "2-kusst-die-hand_1.glb", "2-kusst-die-hand_2.glb",
        ]  # fmt: skip
        assert made.page == tmp_path / "all" / "index.html" and made.page.exists()

    def test_the_first_sample_is_the_same_whatever_follows(self, run, tmp_path):
        one = run(WALK, output=tmp_path / "one.npz", seconds=1.0)
        more = run([WALK, WAVE], output=tmp_path / "m.npz", num=2, seconds=1.0)
        a, b = read_motion(one.motions[0]), read_motion(more.motions[0])
        torch.testing.assert_close(a.rotvec, b.rotvec, atol=1e-4, rtol=0)


class TestLengths:
    def test_beyond_ten_seconds(self, run, tmp_path):
        made = run(WALK, output=tmp_path / "m.npz", seconds=12.4)
        assert len(read_motion(made.motions[0])) == 372

    def test_a_sequence_is_one_motion(self, run, tmp_path):
        made = run([WALK, WAVE], output=tmp_path / "m.bvh", seconds=[2.0, 3.0], sequence=True)
        assert made.motions == (tmp_path / "m.bvh",) and made.page is None
        assert len(read_bvh(made.motions[0], body=BodyModel.load())) == 150


class TestControl:
    def test_keyframes_of_another_rate_and_skeleton_are_hit(self, run, walk, tmp_path, body):
        fast = walk.resample(60)[:90]
        write_bvh(tmp_path / "keys.bvh", fast, body)
        made = run(WALK, output=tmp_path / "m.npz", keyframes=tmp_path / "keys.bvh")
        motion = read_motion(made.motions[0])
        assert len(motion) == 150
        want, got = body.joints_of(walk)[:45, :22], body.joints_of(motion)[:45, :22]
        assert float((want - got).norm(dim=-1).max()) < 1e-3

    def test_a_path_as_csv(self, run, tmp_path, body):
        path = tmp_path / "path.csv"
        path.write_text("seconds,x,y\n0,1,2\n2,2,2.5\n6.3,3,3\n")
        made = run(WALK, output=tmp_path / "m.npz", path=path, num=2)
        for file in made.motions:
            motion = read_motion(file)
            assert len(motion) == 192  # As far as the path reaches, in tenths.
            place = body.joints_of(motion)[[0, 60, 189], 0, :2]
            torch.testing.assert_close(
                place, torch.tensor(((1, 2), (2, 2.5), (3, 3))), atol=1e-3, rtol=0
            )

    def test_the_path_of_a_motion(self, run, walk, tmp_path, body):
        write_motion(tmp_path / "walk.npz", walk)
        made = run(WALK, output=tmp_path / "m.npz", path=tmp_path / "walk.npz", seconds=3.0)
        got, want = (body.joints_of(m)[:, 0, :2] for m in (read_motion(made.motions[0]), walk))
        torch.testing.assert_close(got[:90], want[:90], atol=1e-3, rtol=0)

    def test_targets(self, run, tmp_path, body):
        (tmp_path / "t.csv").write_text(
            "seconds,joint,x,y,z\n1,left_wrist,0.3,0.4,1.2\n2.0,right_ankle,-0.1,0.3,0.2\n"
        )
        made = run(WALK, output=tmp_path / "m.npz", targets=tmp_path / "t.csv", num=2)
        for file in made.motions:
            joints = body.joints_of(read_motion(file))
            for frame, joint, place in ((30, 20, (0.3, 0.4, 1.2)), (60, 8, (-0.1, 0.3, 0.2))):
                assert (joints[frame, joint] - torch.tensor(place)).norm() < 1e-3

    @pytest.mark.parametrize("option", [{"mirror": True}, {"sequence": True}, {"body": "b.npz"}])
    def test_what_would_undo_it(self, run, tmp_path, option):
        with pytest.raises(UsageError, match=r"keyframes|path"):
            run(WALK, output=tmp_path / "m.npz", path=tmp_path / "p.csv", **option)


def test_clean_up_raises_soles(run, tmp_path, body) -> None:
    sole = body.sole_offset()
    deep = []
    for cleanup in (True, False):
        made = run(WALK, output=tmp_path / f"{cleanup}.npz", cleanup=cleanup)
        joints = body.joints_of(read_motion(made.motions[0]))
        deep.append(float(floor_penetration(joints, sole=sole).max()))
    assert deep[0] < 1e-4 < deep[1]


def test_a_mirror_swaps_the_sides(run, tmp_path) -> None:
    plain, other = (
        read_motion(run(WALK, output=tmp_path / f"{m}.npz", mirror=m).motions[0])
        for m in (False, True)
    )
    torch.testing.assert_close(plain.mirror().rotvec, other.rotvec, atol=1e-5, rtol=0)


def test_a_style_clip_changes_arms_and_not_the_seed(run, walk, tmp_path) -> None:
    write_motion(tmp_path / "s.npz", walk.mirror())
    plain = run(WALK, output=tmp_path / "a.npz", seconds=1.0)
    none = run(WALK, output=tmp_path / "b.npz", seconds=1.0, style=tmp_path / "s.npz",
               style_strength=0.0)  # fmt: skip
    full = run(WALK, output=tmp_path / "c.npz", seconds=1.0, style=tmp_path / "s.npz")
    a, b, c = (read_motion(made.motions[0]).body_pose for made in (plain, none, full))
    torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    assert float((a - c).abs().max()) > 1e-3
    with pytest.raises(UsageError, match="give the style's motion too"):
        run(WALK, output=tmp_path / "d.npz", style_strength=0.5)


def test_unknown_prompts_are_noted_with_what_is_near(run, tmp_path) -> None:
    made = run("a bird eats an apple pie", output=tmp_path / "m.npz", seconds=1.0)
    (note,) = made.notes
    assert "unlike all that was learnt" in note and WAVE in note
    assert read_motion(made.motions[0]).meta["notes"] == [note]
    assert run(WALK, output=tmp_path / "n.npz", seconds=1.0).notes == ()


class TestHostileInput:
    @pytest.mark.parametrize(
        ("prompt", "message"),
        [("", "empty"), ("🕺💃", "no words"), ("walk " * 10_000, "at most 200"), ([], "no prompt")],
        ids=["empty", "emoji", "long", "none"],
    )
    def test_prompts(self, run, tmp_path, prompt, message):
        with pytest.raises(UsageError, match=message):
            run(prompt, output=tmp_path / "m.npz")
        assert not list(tmp_path.iterdir())

    def test_another_language_is_noted(self, run, tmp_path):
        made = run("una persona camina en un círculo", output=tmp_path / "m.npz", seconds=1.0)
        assert "does not look like English" in made.notes[0]

    @pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.1, 1e9, float("nan"), float("inf"), []])
    def test_lengths(self, run, tmp_path, seconds):
        with pytest.raises(UsageError, match="give"):
            run(WALK, output=tmp_path / "m.npz", seconds=seconds)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("num", [0, -1, 65])
    def test_counts(self, run, tmp_path, num):
        with pytest.raises(UsageError, match="1 to 64 in all"):
            run(WALK, output=tmp_path / "m.npz", num=num)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "is empty|does not start"),
            ("x,y\n1,2\n", "does not start with the header seconds,x,y"),
            ("seconds,x,y\n0,1\n", "line 2 has 2 cells"),
            ("seconds,x,y\n0,1,q\n", "line 2: could not convert"),
            ("seconds,x,y\n", "0 rows"),
        ],
    )
    def test_paths(self, run, tmp_path, text, message):
        (tmp_path / "p.csv").write_text(text)
        with pytest.raises(FileFormatError, match=message):
            run(WALK, output=tmp_path / "m.npz", path=tmp_path / "p.csv")

    @pytest.mark.parametrize(
        ("rows", "message"),
        [("0,0,0\n1,99,0\n", "99 m/s"), ("1,0,0\n0,0,0\n", "rise"), ("0,nan,0\n", "not finite"),
         ("0,0,0\n70,5,0\n", "70.1 seconds asked for; give 0.5 to 10")],
    )  # fmt: skip
    def test_paths_that_cannot_be(self, run, tmp_path, rows, message):
        (tmp_path / "p.csv").write_text(f"seconds,x,y\n{rows}")
        with pytest.raises(UsageError, match=message):
            run(WALK, output=tmp_path / "m.npz", path=tmp_path / "p.csv")

    @pytest.mark.parametrize(
        ("rows", "message"),
        [("1,tail,0,0,0\n", "joint 'tail' given as a target; give pelvis"),
         ("1,left_wrist,0,0\n", "line 2 has 4 cells"),
         ("1,left_wrist,0,0,x\n", "line 2: could not convert")],
    )  # fmt: skip
    def test_targets_that_are_none(self, run, tmp_path, rows, message):
        (tmp_path / "t.csv").write_text(f"seconds,joint,x,y,z\n{rows}")
        with pytest.raises((UsageError, FileFormatError), match=message):
            run(WALK, output=tmp_path / "m.npz", targets=tmp_path / "t.csv")

    def test_keyframes_that_contradict_the_path(self, run, walk, tmp_path):
        write_motion(tmp_path / "k.npz", walk[30:31])
        (tmp_path / "p.csv").write_text("seconds,x,y\n1,9,9\n")
        with pytest.raises(UsageError, match=r"keyframe and path disagree at 1.00 s"):
            run(WALK, output=tmp_path / "m.npz", keyframes=tmp_path / "k.npz",
                path=tmp_path / "p.csv")  # fmt: skip

    def test_files_in_the_way_are_kept(self, run, tmp_path):
        for name in ("m_2.npz", "m.html"):
            (tmp_path / name).write_text("mine")
            with pytest.raises(OutputError, match=f"{name} exists already; pass --overwrite"):
                run(WALK, output=tmp_path / "m.npz", num=2, seconds=0.5)
            assert (tmp_path / name).read_text() == "mine"
            (tmp_path / name).unlink()
        assert not list(tmp_path.iterdir())
        (tmp_path / "m.npz").write_text("mine")
        run(WALK, output=tmp_path / "m.npz", seconds=0.5, overwrite=True)
        assert len(read_motion(tmp_path / "m.npz")) == 15

    def test_places_that_cannot_be_written(self, run, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError):
            run(WALK, output=tmp_path / "file" / "m.npz")
        with pytest.raises(OutputError, match="is a file"):
            run(WALK, output=tmp_path / "file")
        with pytest.raises(UsageError, match="accepted endings are"):
            run(WALK, output=tmp_path / "m.fbx")

    def test_without_weights(self, tmp_path):
        with pytest.raises(InputError, match=r"nothing.safetensors does not exist"):
            generate(WALK, output=tmp_path / "m.npz", weights=tmp_path / "nothing.safetensors")

    def test_keyframes_on_a_body_of_their_own_are_put_onto_ours(self, run, walk, tmp_path):
        write_motion(
            tmp_path / "k.npz", replace(walk[:40], body_id="SMPL-X somebody", body_sha256="")
        )
        made = run(WALK, output=tmp_path / "m.npz", keyframes=tmp_path / "k.npz")
        assert "made on body SMPL-X somebody; put onto" in made.notes[0]
