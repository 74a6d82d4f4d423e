"""Bare joints in npy files: arrays, dicts that numpy pickled, and files that mean harm."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

from humanmotion.errors import FileFormatError, InputError
from humanmotion.io.joints_npy import read_joints_npy

JOINTS = np.random.default_rng(0).normal(size=(7, 22, 3)).astype(np.float32)


def _pickled(path, content, protocol):
    with path.open("wb") as stream:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(stream, header)
        pickle.dump(np.array(content, dtype=object), stream, protocol=protocol)
    return path


@pytest.mark.parametrize("array", [
    JOINTS, JOINTS.astype(np.float64), JOINTS.astype(">f4"), np.asfortranarray(JOINTS),
    (1000 * JOINTS).astype(np.int16),
], ids=["f4", "f8", "big-endian", "fortran", "whole numbers"])  # fmt: skip
def test_arrays_come_back_whole(tmp_path, array):
    path = tmp_path / "a.npy"
    np.save(path, array)
    assert np.array_equal(read_joints_npy(path).numpy(), array.astype(np.float64))
    np.save(path, {"joints": array, "text": "a walk", "fps": 20}, allow_pickle=True)
    assert np.array_equal(read_joints_npy(path).numpy(), array.astype(np.float64))


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_dicts_of_every_protocol_numpy_has_written(tmp_path, protocol):
    content = {"n": np.float32(3), "list": [1, 2.5, None, True], "joints": JOINTS, "more": JOINTS}
    path = _pickled(tmp_path / "a.npy", content, protocol)
    assert np.array_equal(read_joints_npy(path).numpy(), JOINTS.astype(np.float64))


class _Harm:
    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", [2, 4])
def test_nothing_in_a_dict_is_ever_run(tmp_path, protocol):
    harm = _Harm()
    harm.path = tmp_path / "ran"
    path = _pickled(tmp_path / "a.npy", {"joints": JOINTS, "x": harm}, protocol)
    with pytest.raises(FileFormatError, match=r"asks for \w+.system, which is not run"):
        read_joints_npy(path)
    assert not harm.path.exists()


@pytest.mark.parametrize(("content", "words"), [
    ({"poses": JOINTS}, "no dict with 'joints'"),
    ({"joints": [1, 2]}, "no plain array"),
    ({"joints": np.array(["x", None], dtype=object)}, "no plain array"),
    ({"joints": JOINTS[:, 0]}, "expected joints"),
])  # fmt: skip
def test_dicts_without_joints_are_refused(tmp_path, content, words):
    path = tmp_path / "a.npy"
    np.save(path, content, allow_pickle=True)
    with pytest.raises(FileFormatError, match=words):
        read_joints_npy(path)


def test_bad_arrays_are_refused_in_one_line(tmp_path):
    path = tmp_path / "a.npy"
    bad = JOINTS.copy()
    bad[4, 3, 1] = np.nan
    for array, words in (
        (bad, "frame 4"), (JOINTS[0], "expected joints"), (JOINTS[:0], "0 frames"),
        (JOINTS.astype(str), "expected joints"),
    ):  # fmt: skip
        np.save(path, array)
        with pytest.raises(FileFormatError, match=words):
            read_joints_npy(path)
    with pytest.raises(InputError, match="does not exist"):
        read_joints_npy(tmp_path / "none.npy")


def test_cut_and_flipped_bytes_are_read_or_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, {"joints": JOINTS[:1, :2]}, allow_pickle=True)
    whole = path.read_bytes()
    for at in (*range(0, 130, 5), *range(130, len(whole), 11)):
        for spoiled in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]):
            path.write_bytes(spoiled)
            try:
                read_joints_npy(path)
            except InputError as error:
                assert "\n" not in str(error)[:40]
