import os
import pickle
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import DataError
from data.safe_pickle import load_batch
from tests.data.standin import write_pickle


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_a_pickle_that_runs_a_program_is_refused_unrun(tmp_path):
    mark, file = tmp_path / "ran", tmp_path / "batch"
    file.write_bytes(pickle.dumps({b"data": Evil(os.system, f"touch {mark}")}, protocol=2))
    with pytest.raises(DataError, match=r"posix\.system is not allowed"):
        load_batch(file)
    assert not mark.exists()
    pickle.loads(file.read_bytes())
    assert mark.exists(), "the attack itself does not work, so the test proves nothing"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "arguments"),
    [(eval, ("1",)), (getattr, ("a", "b")), (np.load, ("x",)), (np.frombuffer, (b"x",)), (__import__, ("os",))],
)
def test_other_names_are_refused_in_every_protocol(tmp_path, protocol, function, arguments):
    (tmp_path / "batch").write_bytes(pickle.dumps(Evil(function, *arguments), protocol))
    with pytest.raises(DataError, match="not allowed"):
        load_batch(tmp_path / "batch")


def test_dotted_names_are_no_way_round(tmp_path):
    (tmp_path / "batch").write_bytes(b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.")
    with pytest.raises(DataError, match="not allowed"):
        load_batch(tmp_path / "batch")


def test_the_codec_of_python_3_bytes_reads_latin1_only(tmp_path):
    write = (tmp_path / "batch").write_bytes
    write(pickle.dumps({b"label_names": [b"\xff\x00cat"]}, protocol=2))
    assert load_batch(tmp_path / "batch") == {b"label_names": [b"\xff\x00cat"]}
    write(b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00hextR.")
    with pytest.raises(DataError, match="codec 'hex' is not allowed"):
        load_batch(tmp_path / "batch")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_python_3_writes(tmp_path, protocol, order):
    labels = np.array([3, -7, 70000])
    content: dict[Any, Any] = {
        "data": np.asarray(np.arange(12, dtype=np.uint8).reshape(3, 4), order=order),
        b"labels": labels,
        "other": labels.astype(">i4")[::2],
        "numbers": list(labels.astype(np.int16)),
    }
    content["data"].flags.writeable = protocol % 2 == 0  # as bytes or as a bytearray
    (tmp_path / "batch").write_bytes(pickle.dumps(content, protocol))
    read = load_batch(tmp_path / "batch")
    np.testing.assert_array_equal(read[b"data"], content["data"])
    assert read[b"data"].dtype == np.uint8 and read[b"labels"].tolist() == [3, -7, 70000]
    assert read[b"other"].tolist() == [3, 70000]
    assert read[b"numbers"] == [3, -7, 70000 - 65536] and {type(number) for number in read[b"numbers"]} == {int}


@pytest.mark.parametrize("value", [np.array([1.5]), np.array(["a"]), np.array([None]), np.float64(1.5), np.array([1j])])
def test_other_arrays_are_refused_with_the_way_to_save_them(tmp_path, value):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "batch").write_bytes(pickle.dumps({"data": value}, protocol))
        with pytest.raises(DataError, match=r"only u1, .* are allowed.* or write it as a dictionary of a uint8 array"):
            load_batch(tmp_path / "batch")


def test_arrays_written_by_python_2(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (7, 3072), dtype=np.uint8)
    write_pickle(tmp_path / "batch", {b"data": array, b"labels": [3] * 7, b"filenames": [b"x" * 300, b""]})
    read = load_batch(tmp_path / "batch")
    np.testing.assert_array_equal(read[b"data"], array)
    assert read[b"filenames"] == [b"x" * 300, b""]
    # What we call Python 2's format is one that the unrestricted reader reads alike.
    plain = pickle.loads((tmp_path / "batch").read_bytes(), encoding="bytes")
    np.testing.assert_array_equal(plain[b"data"], array)


def test_every_truncation_and_many_flips_end_in_a_data_error_or_a_dictionary(tmp_path):
    file: Path = tmp_path / "batch"
    write_pickle(file, {b"data": np.zeros((1, 12), np.uint8), b"labels": [1]})
    whole = file.read_bytes()
    generator, refused = np.random.default_rng(0), 0
    damaged = [whole[:n] for n in range(len(whole))]
    for _ in range(1500):
        copy = bytearray(whole)
        copy[generator.integers(len(copy))] = generator.integers(256)
        damaged.append(bytes(copy))
    for content in damaged:
        file.write_bytes(content)
        try:
            assert isinstance(load_batch(file), dict)
        except DataError as error:
            refused += str(file) in str(error)
    assert refused > len(whole), "every truncation and some flips are refused, naming the file"


def test_no_pickle_reaches_numpy(tmp_path):
    """numpy's own dtype is one object for the whole process: a pickle that sets its state must not meet it."""
    write = (tmp_path / "batch").write_bytes
    state = b"(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb"
    write(b"}(C\x01xcnumpy\ndtype\n(X\x02\x00\x00\x00u1K\x00K\x01tR" + state + b"u.")
    assert not isinstance(load_batch(tmp_path / "batch")[b"x"], np.dtype)
    assert np.dtype(np.uint8).flags == 0


@pytest.mark.parametrize("name", ["numpy\nndarray", "numpy\ndtype", "_codecs\nencode"])
def test_the_stand_ins_cannot_be_changed(tmp_path, name):
    (tmp_path / "batch").write_bytes(b"c" + name.encode() + b"\nN}X\x04\x00\x00\x00evilK\x01s\x86b.")
    with pytest.raises(DataError, match="not a readable CIFAR batch"):
        load_batch(tmp_path / "batch")


def test_an_array_that_claims_more_than_it_holds(tmp_path):
    write_pickle(tmp_path / "batch", {b"data": np.zeros((3, 4), np.uint8)})
    content = (tmp_path / "batch").read_bytes()
    for shape in [(3, 5), (-3, -4), (1 << 30, 1 << 30)]:
        changed = content.replace(struct.pack("<BiBi", 74, 3, 74, 4), struct.pack("<BiBi", 74, shape[0], 74, shape[1]))
        assert changed != content
        (tmp_path / "batch").write_bytes(changed)
        with pytest.raises(DataError, match="does not go with its content"):
            load_batch(tmp_path / "batch")


def test_missing_file_and_wrong_type(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        load_batch(tmp_path / "batch")
    write_pickle(tmp_path / "batch", [1])
    with pytest.raises(DataError, match="holds a list"):
        load_batch(tmp_path / "batch")


def test_readers_need_numpy_only():
    import subprocess

    code = (
        "import sys, data.cifar, data.digits, common.paths\n"
        "bad = {'requests', 'tqdm', 'filelock', 'yaml', 'sklearn', 'tensorflow', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shape", [("a", 10**9), (1.0, 12), [12], None, ((1, 2),)])
def test_an_array_whose_shape_is_no_shape(tmp_path, shape):
    """The product of a text and a number would be a longer text."""
    content = pickle.dumps({b"data": np.zeros(12, np.uint8)}, 5)
    other = pickle.dumps(shape, 5)
    start = other.index(b"\x95") + 9 if b"\x95" in other[:4] else 2
    assert content.count(b"K\x0c\x85") == 1
    changed = content.replace(b"K\x0c\x85", other[start:-1])
    frame = changed.index(b"\x95")
    changed = changed[: frame + 1] + struct.pack("<Q", len(changed) - frame - 9) + changed[frame + 9 :]
    (tmp_path / "batch").write_bytes(changed)
    with pytest.raises(DataError, match="shape is no tuple of numbers"):
        load_batch(tmp_path / "batch")
