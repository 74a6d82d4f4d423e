"""The leaderboard: which folders are systems, who stands where, and whose figures are not ours."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from humanmotion.cli.main import main
from humanmotion.errors import InputError, UsageError
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.published_mbench import COLUMNS, ROWS
from humanmotion.jobs.score import score
from humanmotion.jobs.score_board import board, published, submissions


@pytest.fixture(scope="module")
def joints(body):
    """(T, 22, 3) at 20 fps, y up."""
    x, y, z = body.joints_of(walking_motion(body, seconds=1.5).resample(20.0))[:, :22].unbind(-1)
    return torch.stack((-x, z, y), -1).numpy()


@pytest.fixture
def root(tmp_path, joints):
    for name, noise in (("real", 0.0), ("a<b>", 0.002), ("noisy", 0.02), (".hidden", 0.0)):
        (tmp_path / "subs" / name).mkdir(parents=True)
        for i in range(3):
            g = np.random.default_rng(i)
            spoilt = joints + noise * g.normal(size=joints.shape)
            np.save(tmp_path / "subs" / name / f"{i}.npy", spoilt.astype(np.float32))
    (tmp_path / "subs" / "README.md").write_text("not a system")
    return tmp_path / "subs"


def test_sub_folders_are_systems_but_for_real_motion(root):
    found = submissions([root], reference=root / "noisy" / ".." / "real")
    assert [path.name for path in found] == ["a<b>", "noisy"]
    assert len(submissions([root])) == 3
    with pytest.raises(UsageError, match="is no folder"):
        submissions([root / "README.md"])
    with pytest.raises(InputError, match="no sub-folder"):
        submissions([root / "real"])


def test_rows_go_by_the_mean_place_and_real_motion_comes_last(root):
    scores = score(submissions([root], reference=root / "real"), reference=root / "real")
    cells = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td>", board(scores).markup)
    assert [name for name, _ in cells] == ["a&lt;b&gt;", "noisy", "real (real)"]
    assert float(cells[0][1]) < float(cells[1][1]) and cells[2][1] == "–"


def test_published_rows_are_the_sources_and_say_so():
    section = published()
    assert "As reported" in section.markup and "Not measured here" in section.markup
    assert {len(row.cells) for row in ROWS} == {len(COLUMNS)} and len(ROWS) == 10
    by_name = {row.name: row.cells for row in ROWS}
    # Consistency and generalizability of the full model.
    assert by_name["ViMoGen"][:2] == ("0.53", "0.68")
    doubtful = [row.name for row in ROWS if any("?" in cell for cell in row.cells)]
    assert doubtful == ["MDM", "T2M-GPT", "MoMask"]
    assert all(r.cells[5].rstrip("?") == r.cells[2] for r in ROWS if r.name in doubtful)


def test_one_command_writes_the_page_and_counts_what_is_missing(root, tmp_path, capsys):
    (root / "noisy" / "2.npy").unlink()
    rows = ", ".join(f'{{"global_id": {i}, "dimension": "Motion_Quality"}}' for i in range(3))
    (tmp_path / "p.json").write_text(f"[{rows}]")
    page = tmp_path / "board.html"
    command = ["score", str(root), "--leaderboard", str(page), "--reference", str(root / "real")]
    assert main([*command, "--prompts", str(tmp_path / "p.json")]) == 0
    text = page.read_text()
    assert "<td>2 of 3</td>" in text and "Published rows" in text and "<b>" not in text
    assert main(command) == 1  # Nothing is replaced unasked.
    capsys.readouterr()
    assert main(["score", str(root / "real"), "--leaderboard", str(tmp_path / "x.html")]) == 1
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "x.html").exists()
