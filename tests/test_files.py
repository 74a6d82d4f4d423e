"""Safe reading, atomic writing: whatever lies on disk, one clear error and nothing half-written."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from humanmotion import files
from humanmotion.errors import FileFormatError, InputError, OutputError

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.array("text"), "c": np.zeros((0, 3), np.int16)}


def npy_header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    """An npy member that claims `shape` and carries no data."""
    buffer = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(buffer, header)
    return buffer.getvalue()


def npz_of(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


class TestNpz:
    def test_round_trip_and_same_bytes(self, tmp_path):
        files.write_npz(tmp_path / "one.npz", ARRAYS)
        files.write_npz(tmp_path / "two.npz", ARRAYS)
        again = files.read_npz(tmp_path / "one.npz")
        assert again.keys() == ARRAYS.keys()
        for key, value in ARRAYS.items():
            np.testing.assert_array_equal(again[key], value)
            assert again[key].dtype == value.dtype
        assert files.sha256(tmp_path / "one.npz") == files.sha256(tmp_path / "two.npz")

    def test_numpy_reads_it(self, tmp_path):
        files.write_npz(tmp_path / "one.npz", ARRAYS)
        with np.load(tmp_path / "one.npz", allow_pickle=False) as theirs:
            np.testing.assert_array_equal(theirs["a"], ARRAYS["a"])

    def test_shapes_come_from_headers(self, tmp_path):
        files.write_npz(tmp_path / "one.npz", ARRAYS)
        assert files.npz_shapes(tmp_path / "one.npz") == {
            "a": ((2, 3), "float64"), "b": ((), "<U4"), "c": ((0, 3), "int16"),
        }  # fmt: skip

    def test_odd_members_are_not_looked_at_unless_asked_for(self, tmp_path):
        path = tmp_path / "odd.npz"
        np.savez(path, a=np.ones(3), odd=np.array([{"x": 1}], dtype=object))
        assert list(files.read_npz(path, keys=["a", "missing"])) == ["a"]
        with pytest.raises(FileFormatError, match=r"odd holds Python objects, .* can run code"):
            files.read_npz(path)

    @pytest.mark.parametrize(
        "shape",
        [(10**11,), (10**6, 10**6), (10**200, 10**200), (-5,), (-1, 10**12)],
        ids=["long", "wide", "endless", "negative", "mixed"],
    )
    def test_a_header_that_lies_is_refused_before_memory_is_taken(self, tmp_path, shape):
        path = npz_of(tmp_path / "liar.npz", a=npy_header(shape))
        with pytest.raises(FileFormatError, match=r"liar.npz"):
            files.read_npz(path)

    def test_several_members_share_one_budget(self, tmp_path):
        files.write_npz(tmp_path / "one.npz", {"a": np.zeros(100), "b": np.zeros(100)})
        files.read_npz(tmp_path / "one.npz", max_bytes=1600)
        with pytest.raises(FileFormatError, match="b claims to unpack to more"):
            files.read_npz(tmp_path / "one.npz", max_bytes=1599)

    def test_a_header_is_not_read_when_it_claims_to_be_long(self, tmp_path):
        size = files.MAX_HEADER_BYTES + 1
        path = npz_of(tmp_path / "long.npz",
                      a=b"\x93NUMPY\x02\x00" + size.to_bytes(4, "little") + b" " * size)  # fmt: skip
        with pytest.raises(FileFormatError, match=f"'a.npy' claims {size} bytes"):
            files.read_npz(path)

    def test_bytes_are_counted_as_the_floats_they_become(self, tmp_path):
        files.write_npz(tmp_path / "one.npz", {"a": np.zeros(100, np.uint8)})
        files.read_npz(tmp_path / "one.npz", max_bytes=400)
        with pytest.raises(FileFormatError, match="a claims to unpack to more"):
            files.read_npz(tmp_path / "one.npz", max_bytes=399)

    @pytest.mark.parametrize(
        "member",
        [
            b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x05\x00{'a':",
            npy_header((4,)), npy_header((4,), "|O"), npy_header((4,), "<q99"),
            b"\x93NUMPY\x01\x00" + (9000).to_bytes(2, "little") + b"-" * 8999 + b"\n",
            b"\x93NUMPY\x01\x00" + (9000).to_bytes(2, "little") + b"[" * 8999 + b"\n",
        ],
        ids=["empty", "magic", "cut", "no data", "objects", "dtype", "minus", "brackets"],
    )  # fmt: skip
    def test_damaged_members(self, tmp_path, member):
        path = npz_of(tmp_path / "bad.npz", a=member)
        with pytest.raises(FileFormatError, match=r"bad.npz"):
            files.read_npz(path)

    def test_every_cut_of_a_file_is_one_clear_error(self, tmp_path):
        files.write_npz(tmp_path / "one.npz", ARRAYS)
        whole = (tmp_path / "one.npz").read_bytes()
        for size in range(1, len(whole), 7):
            (tmp_path / "cut.npz").write_bytes(whole[:size])
            with pytest.raises(FileFormatError, match=r"cut.npz"):
                files.read_npz(tmp_path / "cut.npz")
            with pytest.raises(FileFormatError, match=r"cut.npz"):
                files.npz_shapes(tmp_path / "cut.npz")

    def test_every_flipped_byte_is_read_or_refused(self, tmp_path):
        files.write_npz(tmp_path / "one.npz", ARRAYS)
        whole = bytearray((tmp_path / "one.npz").read_bytes())
        for place in range(0, len(whole), 3):
            whole[place] ^= 0xFF
            (tmp_path / "bad.npz").write_bytes(whole)
            whole[place] ^= 0xFF
            for read in (files.read_npz, files.npz_shapes):
                try:
                    read(tmp_path / "bad.npz")
                except FileFormatError as error:
                    assert "bad.npz" in str(error)


class TestText:
    def test_round_trip(self, tmp_path):
        value = {"é": [1, 2.5, None, "x"], "nested": {"a": []}}
        files.write_json(tmp_path / "x.json", value)
        assert files.read_json(tmp_path / "x.json") == value

    def test_a_byte_order_mark_is_not_content(self, tmp_path):
        (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf[1]")
        assert files.read_json(tmp_path / "x.json") == [1]

    @pytest.mark.parametrize(
        "text",
        ["[" * 10_000, "[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000,
         '["' + "]" * 10_000 + '",' + "[" * 10_000 + "]" * 10_001],
        ids=["open", "arrays", "objects", "brackets in a string before"],
    )  # fmt: skip
    def test_nested_ten_thousand_deep(self, tmp_path, text):
        (tmp_path / "deep.json").write_text(text)
        with pytest.raises(FileFormatError, match=r"deep.json is nested too deep"):
            files.read_json(tmp_path / "deep.json")

    def test_brackets_in_strings_are_text(self, tmp_path):
        (tmp_path / "x.json").write_text('["' + "[" * 5000 + '"]')
        assert files.read_json(tmp_path / "x.json") == ["[" * 5000]

    @pytest.mark.parametrize("text", ["{", "nul", "[1,]", "1" * 10_000, ""])
    def test_what_is_not_json(self, tmp_path, text):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(FileFormatError, match=r"bad.json (is not JSON|is empty)"):
            files.read_json(tmp_path / "bad.json")

    def test_too_large_and_not_text(self, tmp_path):
        (tmp_path / "x.txt").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(FileFormatError, match="not a text file"):
            files.read_text(tmp_path / "x.txt")
        with pytest.raises(FileFormatError, match="has 3 bytes; at most 2"):
            files.read_text(tmp_path / "x.txt", max_bytes=2)

    def test_line_by_line(self, tmp_path, monkeypatch):
        (tmp_path / "x.txt").write_bytes(b"\xef\xbb\xbfone\r\n\ntwo")
        assert list(files.read_lines(tmp_path / "x.txt")) == [(1, "one"), (2, ""), (3, "two")]
        with pytest.raises(FileFormatError, match="at most 5 are accepted"):
            list(files.read_lines(tmp_path / "x.txt", max_bytes=5))
        monkeypatch.setattr(files, "MAX_LINE_CHARACTERS", 3)
        with pytest.raises(FileFormatError, match="line 1 is longer than 3 characters"):
            list(files.read_lines(tmp_path / "x.txt"))
        (tmp_path / "x.txt").write_bytes(b"a\n\xff\n")
        with pytest.raises(FileFormatError, match="not a text file"):
            list(files.read_lines(tmp_path / "x.txt"))

    def test_numbers_must_be_finite(self, tmp_path):
        with pytest.raises(ValueError, match="JSON compliant"):
            files.write_json(tmp_path / "x.json", [float("nan")])
        assert not list(tmp_path.iterdir())


class TestExisting:
    def test_says_what_is_wrong(self, tmp_path):
        (tmp_path / "empty").touch()
        for name, message in (
            ("missing", "does not exist"),
            (".", "is not a file"),
            ("empty", "is empty"),
            ("a" * 300, "too long"),
        ):
            with pytest.raises(InputError, match=message):
                files.existing_file(tmp_path / name)

    def test_a_nul_in_the_name(self):
        with pytest.raises(InputError):
            files.existing_file("a\0b")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_unreadable(self, tmp_path):
        (tmp_path / "x").write_text("x")
        (tmp_path / "x").chmod(0)
        with pytest.raises(InputError, match="cannot be read"):
            files.existing_file(tmp_path / "x")


class TestAtomic:
    def test_an_error_leaves_the_old_file_and_nothing_else(self, tmp_path):
        target = tmp_path / "x.txt"
        files.write_text(target, "old")
        with pytest.raises(ZeroDivisionError), files.atomic_path(target) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError
        assert target.read_text() == "old" and len(list(tmp_path.iterdir())) == 1

    def test_the_target_is_never_seen_half_written(self, tmp_path):
        with files.atomic_path(tmp_path / "x.mp4") as temporary:
            temporary.write_text("half")
            assert temporary.suffix == ".mp4" and temporary.parent == tmp_path
            assert not (tmp_path / "x.mp4").exists()
        assert (tmp_path / "x.mp4").read_text() == "half"

    @pytest.mark.parametrize("there", [True, False])
    def test_a_link_stays_a_link(self, tmp_path, there):
        real, link = tmp_path / "elsewhere" / "real.bvh", tmp_path / "link.bvh"
        real.parent.mkdir()
        if there:
            real.write_text("old")
        link.symlink_to(real)
        files.write_text(link, "new")
        assert link.is_symlink() and real.read_text() == "new"
        assert len(list(tmp_path.iterdir())) == 2

    @pytest.mark.parametrize("name", ["a" * 251 + ".bvh", "a" * 255, "a." + "b" * 253])
    def test_names_as_long_as_the_disk_takes(self, tmp_path, name):
        files.write_text(tmp_path / name, "x")
        assert [p.name for p in tmp_path.iterdir()] == [name]

    def test_permissions_are_those_of_any_new_file(self, tmp_path):
        files.write_text(tmp_path / "ours", "x")
        (tmp_path / "theirs").write_text("x")
        assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode

    def test_makes_folders_and_refuses_to_overwrite(self, tmp_path):
        files.write_text(tmp_path / "a" / "b" / "x", "one")
        with pytest.raises(OutputError, match="exists already; pass --overwrite"):
            files.write_text(tmp_path / "a" / "b" / "x", "two", overwrite=False)
        assert (tmp_path / "a" / "b" / "x").read_text() == "one"

    @pytest.mark.parametrize("target", ["file/x", "folder", "a" * 300])
    def test_what_cannot_be_written(self, tmp_path, target):
        (tmp_path / "file").write_text("in the way")
        (tmp_path / "folder").mkdir()
        with pytest.raises(OutputError, match="cannot be written"):
            files.write_text(tmp_path / target, "x")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]

    def test_disk_full(self, tmp_path):
        """A file-size limit stands in for the full disk: the same OSError from the same call."""
        code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
import numpy as np
from humanmotion.errors import OutputError
from humanmotion.files import write_npz
try:
    write_npz({str(tmp_path / "x.npz")!r}, {{"a": np.random.default_rng(0).random(9999)}})
except OutputError as error:
    raise SystemExit(str(error))
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "x.npz cannot be written" in done.stderr
        assert not list(tmp_path.iterdir())

    def test_interrupting_leaves_nothing(self, tmp_path):
        code = f"""
import sys, time
from humanmotion.files import atomic_path
with atomic_path({str(tmp_path / "x")!r}) as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    time.sleep(30)
"""
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
        assert not list(tmp_path.iterdir())


class TestFolders:
    def test_made_and_tried(self, tmp_path):
        assert files.writable_folder(tmp_path / "a" / "b").is_dir()
        assert not list((tmp_path / "a" / "b").iterdir())

    def test_a_file_in_the_way(self, tmp_path):
        (tmp_path / "x").touch()
        with pytest.raises(OutputError, match="cannot be written"):
            files.writable_folder(tmp_path / "x")

    def test_cache_folder(self, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.delenv("HUMANMOTION_CACHE", raising=False)
        assert files.cache_dir() == tmp_path / "humanmotion"
        monkeypatch.setenv("XDG_CACHE_HOME", "")
        assert files.cache_dir() == Path.home() / ".cache" / "humanmotion"
        monkeypatch.setenv("HUMANMOTION_CACHE", str(tmp_path / "x"))
        assert files.cache_dir() == tmp_path / "x"

    def test_missing_asset(self):
        with pytest.raises(InputError, match="install humanmotion again"):
            files.asset("no/such/file")
