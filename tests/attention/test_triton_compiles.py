"""The kernels compile for a GPU, on a machine without one: the interpreter takes more than that."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from humanmotion.attention import triton_kernels as kernels

SIZES = dict(HEADS=2, GROUPS=1, QUERIES=64, KEYS=64, BLOCKS=4, PARTS=1, KEY_PARTS=1, D=16, DV=16,
             WIDTH=16, WIDTH_V=16, TILE=16, KEY_TILE=16, MASKED=True, WIDE=False)
TYPES = {"scale": "fp32", "lse": "*fp32", "delta": "*fp32", "key_mask": "*u8"}
NUMBERS = ("starts", "numbers", "q_starts", "q_lengths", "k_starts", "k_lengths")
for kernel in (kernels._forward, kernels._backward_q, kernels._backward_kv):
    signature = {
        p.name: "constexpr" if p.is_constexpr
        else "*i32" if p.name in NUMBERS else TYPES.get(p.name, "*bf16")
        for p in kernel.params
    }
    sizes = {p.name: SIZES[p.name] for p in kernel.params if p.is_constexpr}
    source = ASTSource(fn=kernel, signature=signature, constexprs=sizes)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32))
    print(kernel.__name__, len(made.asm["ptx"]))
"""


def test_kernels_compile_for_a_gpu(tmp_path) -> None:
    told = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE], env=told | {"TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "_forward", "_backward_q", "_backward_kv"
    ]  # fmt: skip
    assert all(int(line.split()[1]) > 1000 for line in done.stdout.splitlines())
