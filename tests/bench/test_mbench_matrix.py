"""The picture of the matrix: every change in its place, which way in colour, and no other bench's."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from humanmotion.bench.mbench_matrix import Change, listed, picture, write_picture
from humanmotion.bench.report import BenchReport
from humanmotion.cli.main import main
from humanmotion.errors import UsageError
from humanmotion.viz.heat import Cell, heat_table

CHANGES = [
    Change("sinking", "Foot_Depth", 0.01, 0.03, True, "2 cm"),
    Change("sinking", "Foot_<Sliding>", 0.02, 0.01, False, "2 cm"),
    Change("wrong text", "MCC-retrieval", 0.8, 0.0, True, "100 %"),
    Change("self-intersection", "Mesh_Penetration", 0.0, 0.4, True, "2 cm", unit="%"),
]
SVG = "{http://www.w3.org/2000/svg}"


def test_rows_are_the_changes_themselves():
    row = CHANGES[0].row
    assert row.id == "matrix-sinking-Foot_Depth" and row.value == pytest.approx(0.02)
    assert row.what == "Foot_Depth after 2 cm of sinking, less the clean value 0.01"


def test_every_cell_is_drawn_and_own_metrics_are_framed():
    root = ET.fromstring(picture(CHANGES))
    texts = [t.text for t in root.iter(f"{SVG}text") if t.text]
    assert {"+200 %", "−50 %", "−100 %", "+0.4", "Foot_<Sliding>", "wrong text"} <= set(texts)
    boxes = list(root.iter(f"{SVG}rect"))
    assert len(boxes) == 3 * 4 and sum("stroke" in box.attrib for box in boxes) == 3


def test_colours_tell_which_way_and_how_far():
    changes = (-1.0, -0.1, 0.0, 0.1, 1.0, None)
    line = [Cell(change, "") for change in changes]
    root = ET.fromstring(heat_table([line], rows=["a"], columns=list("uvwxyz"), title="t"))
    fills = [box.attrib["fill"] for box in root.iter(f"{SVG}rect")]
    shade = [float(fill.rstrip(")").split(",")[-1]) for fill in fills[:5]]
    assert shade[0] > shade[1] > shade[2] == 0.0 and shade[2] < shade[3] < shade[4]
    assert fills[0].split(",")[0] == fills[1].split(",")[0] != fills[4].split(",")[0]
    with pytest.raises(UsageError, match="do not fill"):
        heat_table([line], rows=["a"], columns=["u"], title="t")


def test_the_file_is_of_this_bench_alone(tmp_path, capsys):
    made = BenchReport.create(
        "mbench", [], seeds=(0,), data=None, quick=True, listed=listed(CHANGES)
    )
    write_picture(tmp_path / "m.svg", made)
    assert (tmp_path / "m.svg").read_text() == picture(CHANGES)
    other = BenchReport.create("body", [], seeds=(0,), data=None, quick=True)
    with pytest.raises(UsageError, match="for mbench"):
        write_picture(tmp_path / "o.svg", other)
    assert main(["bench", "body", "--quick", "--picture", str(tmp_path / "o.svg")]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "o.svg").exists()
