"""Pickled bodies become npz in a process apart; pickles that want more get nothing."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.body.pickle_convert import convert_pickle
from humanmotion.errors import BodyError, InputError, OutputError


def chumpy_module(monkeypatch) -> types.ModuleType:
    """Classes under chumpy's names, so that pickles like the official ones can be written."""
    package, nodes, select = (
        types.ModuleType(n) for n in ("chumpy", "chumpy.ch", "chumpy.reordering")
    )
    nodes.Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    select.Select = type("Select", (), {"__module__": "chumpy.reordering"})
    for module in (package, nodes, select):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    package.ch, package.reordering = nodes, select
    return package


def node(kind: type, **state: object) -> object:
    made = kind()
    made.__dict__.update(state)
    return made


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_official_kinds_of_content(
    tmp_path, monkeypatch, synthetic_body, save_body, protocol
) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    chumpy = chumpy_module(monkeypatch)
    arrays = synthetic_body("SMPL", columns=10, correctives=0.01)
    flat = np.concatenate((np.zeros(7), arrays["v_template"].reshape(-1)))
    content = arrays | {
        "J_regressor": sparse.csc_matrix(arrays["J_regressor"]),
        "shapedirs": node(chumpy.ch.Ch, x=arrays["shapedirs"], _dirty_vars=set()),
        "v_template": node(
            chumpy.reordering.Select, a=node(chumpy.ch.Ch, x=flat),
            idxs=np.arange(7, len(flat)), preferred_shape=(240, 3),
        ),
        "bs_style": "lbs",
        "names": ["pelvis"],
    }  # fmt: skip
    source = tmp_path / "body.pkl"
    source.write_bytes(pickle.dumps(content, protocol=protocol))
    got = convert_pickle(source, tmp_path / "out.npz")
    plain = BodyModel.load(save_body(tmp_path, arrays, name="plain"))
    body = BodyModel.load(tmp_path / "out.npz")
    assert (got.kind, got.sha256) == ("SMPL", body.sha256)
    betas = torch.ones(10)
    turned = torch.linalg.qr(torch.randn(55, 3, 3, generator=torch.Generator().manual_seed(0)))[0]
    assert torch.allclose(
        body.vertices(turned, betas=betas), plain.vertices(turned, betas=betas), atol=1e-6
    )


class Runs:
    def __init__(self, call, *args) -> None:
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


HOSTILE = {
    "system": lambda target: Runs(os.system, f"touch {target}"),
    "subprocess": lambda target: Runs(subprocess.check_call, ["touch", str(target)]),
    "eval": lambda target: Runs(eval, f"open({str(target)!r}, 'w')"),
    "getattr": lambda target: Runs(getattr, Path(target), "touch"),
    "in an object array": lambda target: np.array([Runs(os.system, f"touch {target}")], object),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_malicious_pickle_creates_nothing(tmp_path, how: str) -> None:
    struck, target = tmp_path / "struck", tmp_path / "folder" / "out.npz"
    source = tmp_path / "evil.pkl"
    source.write_bytes(pickle.dumps({"v_template": HOSTILE[how](struck)}, protocol=2))
    with pytest.raises(BodyError, match=r"evil.pkl is not a pickled .* it asks for ") as caught:
        convert_pickle(source, target)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evil.pkl"]


def test_a_codec_or_a_stranger_is_refused(tmp_path) -> None:
    source = tmp_path / "odd.pkl"
    source.write_bytes(b"c_codecs\nencode\n(Vabc\nVrot13\ntR.")
    with pytest.raises(BodyError, match="encoding 'rot13'"):
        convert_pickle(source, tmp_path / "out.npz")
    source.write_bytes(b"ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR.")
    with pytest.raises(BodyError, match="an object that is no array"):
        convert_pickle(source, tmp_path / "out.npz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"garbage", "not a pickled"),
        (pickle.dumps([1, 2]), "holds a list, not a table"),
        (pickle.dumps({"a": "b"}), "holds no arrays"),
        (pickle.dumps({"a": np.zeros(3)}), "lacks v_template"),
    ],
)
def test_what_is_no_body(tmp_path, content: bytes, message: str) -> None:
    source = tmp_path / "odd.pkl"
    source.write_bytes(content)
    with pytest.raises(BodyError, match=message):
        convert_pickle(source, tmp_path / "out.npz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["odd.pkl"]


def test_missing_source_and_existing_target(tmp_path, synthetic_body) -> None:
    with pytest.raises(InputError, match="does not exist"):
        convert_pickle(tmp_path / "none.pkl", tmp_path / "out.npz")
    source, target = tmp_path / "body.pkl", tmp_path / "out.npz"
    source.write_bytes(pickle.dumps(synthetic_body()))
    target.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        convert_pickle(source, target)
    assert target.read_bytes() == b"mine"
    assert convert_pickle(source, target, overwrite=True).kind == "SMPL-X"
