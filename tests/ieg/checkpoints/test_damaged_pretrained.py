"""--pretrained_ckpt of files that are damaged, foreign or made to exhaust: one error before training."""

import io
import resource
import struct
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from common.errors import UsageError
from ieg.checkpoints import pretrained
from ieg.main import main
from ieg.networks.network import build_network

NETWORK = build_network("wrn10-1", 10, image_size=8)
SHAPES = pretrained.needed_shapes(NETWORK, list(NETWORK.specs))
KERNEL, VARIANCE = "parameters:classifier/kernel", f"moving_variance:{next(iter(NETWORK.batch_norms))}"


def arrays():
    random = np.random.default_rng(0)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


@pytest.fixture
def file(tmp_path):
    np.savez(tmp_path / "checkpoint_00000001.npz", **arrays())
    return tmp_path / "checkpoint_00000001.npz"


def refusal(path, mode="all"):
    with pytest.raises(UsageError) as caught:
        pretrained.load(path, mode, NETWORK)
    message = str(caught.value)
    assert f"--pretrained_ckpt={path}" in message and "\n" not in message and len(message) < 600
    return message


def test_a_whole_one_is_read(file):
    weights = pretrained.load(file, "all", NETWORK)
    assert all(np.array_equal(weights.parameters[name], arrays()[f"parameters:{name}"]) for name in NETWORK.specs)


def flipped(content, place, bit=0):
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def directory(content):
    """Where the first entry of the central directory stands."""
    return content.index(b"PK\x01\x02")


def npy(content):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


FILES = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "an .npy": npy,
    "a text": lambda content: b"weights",
    "the encryption bit": lambda content: flipped(flipped(content, directory(content) + 8), 6),
    "a version bit": lambda content: flipped(content, directory(content) + 6, 7),
    "an unknown method": lambda content: flipped(content, directory(content) + 10, 5),
    "the check sum": lambda content: flipped(content, directory(content) + 16),
    "a bit of a weight": lambda content: flipped(content, content.index(arrays()[KERNEL].tobytes()) + 3, 6),
    "a bit of a header": lambda content: flipped(content, content.index(b"fortran_order")),
}


@pytest.mark.parametrize("damage", FILES.values(), ids=FILES.keys())
def test_a_damaged_file(file, damage):
    file.write_bytes(damage(file.read_bytes()))
    assert "cannot be read" in refusal(file)


CONTENTS = {
    "no variance": {VARIANCE: None},
    "a variance of another shape": {VARIANCE: np.ones((3, 3), np.float32)},
    "texts": {KERNEL: np.full(SHAPES[KERNEL], "x")},
    "complex numbers": {KERNEL: np.ones(SHAPES[KERNEL], np.complex64)},
    "whole numbers": {KERNEL: np.ones(SHAPES[KERNEL], np.int32)},
    "objects": {KERNEL: np.full(SHAPES[KERNEL], None)},
    "no kernel": {KERNEL: None},
    "not a number": {KERNEL: np.full(SHAPES[KERNEL], np.nan, np.float32)},
    "without an end": {VARIANCE: np.full(SHAPES[VARIANCE], np.inf, np.float32)},
}


@pytest.mark.parametrize("changes", CONTENTS.values(), ids=CONTENTS.keys())
def test_other_content(file, changes):
    found = {name: value for name, value in {**arrays(), **changes}.items() if value is not None}
    np.savez(file, **found)
    message = refusal(file)
    assert "does not fit" in message or "is not finite" in message


@pytest.mark.parametrize("shape", [(1 << 42,), (1 << 20, 1 << 22), (250_000_000,)])
def test_what_claims_to_be_large_is_not_read(file, shape):
    """A gigabyte that is there, in a megabyte of file, and four terabytes that are not."""
    header = str({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-len(header) - 11 & 63) + b"\n"
    content = {name: value for name, value in arrays().items() if name != KERNEL}
    np.savez(file, **content)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(f"{KERNEL}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(10**6))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert f"{shape} instead of" in refusal(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize("keep", [0, 10, 100, 200])
def test_a_tensorflow_index_that_is_too_short(tmp_path, keep):
    tf.raw_ops.SaveV2(prefix=str(tmp_path / "model"), tensor_names=["conv2d/kernel"], shape_and_slices=[""],
                      tensors=[np.zeros((3, 3, 3, 16), np.float32)])  # fmt: skip
    path = tmp_path / "model.index"
    path.write_bytes(path.read_bytes()[:keep])
    refusal(tmp_path / "model")


def test_it_ends_the_program_before_training(file, tmp_path, capfd):
    file.write_bytes(file.read_bytes()[:1000])
    flags = ["--dataset=digits", "--image_size=8", "--network_name=wrn10-1", "--method=supervised", "--max_iteration=1"]
    assert main([*flags, f"--pretrained_ckpt={file}", f"--checkpoint_path={tmp_path / 'runs'}"]) == 2
    err = capfd.readouterr().err
    assert "cannot be read" in err and "Traceback" not in err
