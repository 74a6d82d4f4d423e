from __future__ import annotations

import pytest
import torch

from humanmotion.errors import FileFormatError
from humanmotion.io.orientations_csv import read_orientations_csv

HEAD = "time,head_qw,head_qx,head_qy,head_qz"


def test_wxyz_and_gaps(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{HEAD}\n0,0.70711,0,0,0.70711\n0.1,,,,\n0.2,nan,nan,nan,nan\n")
    track = read_orientations_csv(path)
    assert track.joints == (15,) and track.times.tolist() == [0, 0.1, 0.2]
    quarter = torch.tensor(((0.0, -1, 0), (1, 0, 0), (0, 0, 1)))
    assert torch.allclose(track.rotations[0, 0], quarter, atol=1e-4)
    assert bool(track.rotations[1:].isnan().all())


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is empty"),
        ("time,head_x,head_y,head_z\n0,1,2,3\n", "does not start with the header"),
        ("time,tail_qw,tail_qx,tail_qy,tail_qz\n0,1,0,0,0\n", "'tail', which is no joint"),
        (f"{HEAD}\n0,1,0,0\n", "line 2 has 4 cells, the header 5"),
        (f"{HEAD}\n0,1,0,0,x\n", "line 2: could not convert"),
        (f"{HEAD}\n0,2,0,0,0\n", "no unit quaternion"),
        (f"{HEAD}\n0,1,0,0,\n", "no unit quaternion"),
        (f"{HEAD}\n1,1,0,0,0\n0,1,0,0,0\n", "times must rise"),
        (f"{HEAD}\n", "has no frames"),
    ],
    ids=str,
)
def test_damage_is_named(text, match, tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=match) as caught:
        read_orientations_csv(path)
    assert "\n" not in str(caught.value)
