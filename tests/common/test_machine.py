import ctypes
import os
import platform
import resource
import subprocess
import sys

import pytest

from common import machine
from common.pytorch import allocator
from common.records.result_schema import OPTIONAL


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("fpu sse2 avx avx2 fma bmi2", ["avx2"]),
        (
            "avx512_bf16 avx2 avx512f avx512_vnni amx_bf16 amx_tile",
            ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16"],
        ),
        ("fp asimd bf16", []),
    ],
)  # fmt: skip
def test_vector_instructions_in_one_order(flags, found):
    assert machine.vector_instructions(flags) == found


def test_bfloat16_is_what_the_processor_multiplies(monkeypatch):
    for flags, expected in (("avx2 avx512f", False), ("avx2 amx_bf16", True), ("avx512_bf16", True)):
        monkeypatch.setattr(machine, "cpu_info", lambda field, flags=flags: flags if field == "flags" else "")
        assert machine.has_bfloat16() == expected


def test_a_record_names_processor_instructions_and_settings_that_were_given(monkeypatch):
    monkeypatch.setattr(machine, "cpu_info", {"model name": "Some CPU", "flags": "avx2"}.get)
    for name in machine.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    found = machine.machine()
    assert found == {"processor": "Some CPU", "instructions": "avx2", "TF_ENABLE_ONEDNN_OPTS": "1"}
    assert OPTIONAL["machine"][0](found)


def test_a_machine_that_tells_nothing(monkeypatch):
    monkeypatch.setattr(machine, "cpu_info", lambda field: "")
    assert machine.processor()
    assert machine.machine()["instructions"] == "unknown"


FAULTS = """
import ctypes, resource, sys
from common.pytorch.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def use():
    block = libc.malloc(ctypes.c_size_t(2**26))
    ctypes.memset(block, 1, 2**26)
    libc.free(block)
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(what, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in allocator.OWN_SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, what], env=clean | environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif("glibc" not in platform.libc_ver(), reason="a setting of glibc")
def test_large_blocks_are_used_again_without_a_page_fault():
    pages = 10 * 2**26 // resource.getpagesize()
    assert faults("give back") > 0.9 * pages
    assert faults("keep") < 0.01 * pages


def test_a_users_own_allocator_is_left_alone(monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.mmap_max=7")
    assert not allocator.keep_freed_memory()


def test_another_c_library_is_left_alone(monkeypatch):
    for name in allocator.OWN_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not allocator.keep_freed_memory()
