"""`bench mbench` from its command: rows of the mesh and of texts, and weights that are none."""

from __future__ import annotations

import json
from dataclasses import asdict

import torch

from humanmotion.bench import mbench, mbench_mesh
from humanmotion.bench.mbench_faults import wrong_text
from humanmotion.cli.main import main
from humanmotion.files import write_tensors
from humanmotion.generation.retrieval import Evaluator, EvaluatorConfig
from tests.bench.generation_made_up import made_up_shards


def test_the_quick_run_without_data_has_every_kind_of_row(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HUMANMOTION_DATA", raising=False)
    found = tmp_path / "mbench.json"
    assert main(["bench", "mbench", "--quick", "--json", str(found)]) in (0, 3)
    rows = {row["id"]: row for row in json.loads(found.read_text())["rows"]}
    assert rows["matrix-self-intersection-Mesh_Penetration"]["value"] > 0
    assert rows["matrix-self-intersection-Mesh_Inside"]["value"] > 0
    assert rows["sensitivity-self-intersection-Mesh_Inside"]["pass"] is True
    assert rows["sensitivity-wrong text-MCC-retrieval"]["value"] is None
    assert rows["twin"]["pass"] is True


def test_weights_that_are_none_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HUMANMOTION_DATA", raising=False)
    assert main(["bench", "mbench", "--quick", "--weights", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert (
        "holds no weights to measure; give a folder with one of generator.safetensors" in err
        and err.count("\n") == 1
    )


def test_the_evaluator_in_a_folder_looks_at_the_real_clips_of_shards(tmp_path):
    shards = made_up_shards(tmp_path / "shards", held=13)
    torch.manual_seed(0)
    config = EvaluatorConfig(width=16, hidden=32, blocks=1, heads=2)
    write_tensors(tmp_path / "evaluator.safetensors", Evaluator(config).state_dict())
    (tmp_path / "evaluator.json").write_text(json.dumps(asdict(config)))
    evaluator = tmp_path / "evaluator.safetensors"
    real = mbench._embedded(mbench._shards(shards, quick=True), evaluator)
    assert [(name, len(own.text)) for name, own in real] == [
        ("val", 13),
        ("seen", 13),
        ("test", 13),
    ]
    own, changes = wrong_text(real[0][1])
    assert own[0].value is not None and len(changes) == 1
    assert all(row.value is not None for row in mbench_mesh.retrieval_rows(real))
    # The quick run builds no shards, and nothing is looked at without data.
    assert mbench._shards(tmp_path, quick=True) is None
    assert mbench._shards(None, quick=False) is None
    assert mbench._embedded(None, evaluator) == []
