"""Files of torch: what is read although it holds more than tensors, what is refused in one sentence, full disks."""

import argparse
import errno
import io
import os
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from common.pytorch import torch_files as module  # noqa: E402
from common.pytorch.torch_files import (  # noqa: E402
    first_of,
    load_weights,
    not_finite,
    read_tensors,
    words_of,
    write_tensors,
)

KINDS = [np.float64(0.1), np.float32(0.5), np.float16(2), np.int64(-3), np.int32(7), np.uint8(200), np.bool_(True)]
KINDS += [np.complex64(1 + 2j), np.array([2.5], ">f8")[0]]


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("value", KINDS, ids=lambda value: value.dtype.str)
def test_numbers_of_numpy_become_pythons(tmp_path, value, zipped):
    content = {"state_dict": {"a": torch.arange(3)}, "best": value, "list": [value, 1]}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    found = read_tensors(tmp_path / "a.pt")
    assert found["best"] == value.item() and type(found["best"]) is type(value.item())
    assert found["list"] == [value.item(), 1]
    assert torch.equal(found["state_dict"]["a"], torch.arange(3))


class Hyper:
    """As Lightning pickles what it was given."""


class Runs:
    def __reduce__(self):
        return os.system, ("touch ran",)


def objects():
    return {
        "argparse.Namespace": argparse.Namespace(lr=0.1),
        f"{__name__}.Hyper": Hyper(),
        "numpy._core.multiarray._reconstruct|numpy.core.multiarray._reconstruct": np.arange(3),
    }


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("name", objects())
def test_an_object_is_named_with_the_way_to_a_plain_copy(tmp_path, name, zipped):
    content = {"state_dict": {"a": torch.arange(3)}, "hyper_parameters": objects()[name]}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match="beside its tensors") as raised:
        read_tensors(tmp_path / "a.pt")
    said = str(raised.value)
    assert any(f"a.pt cannot be read: it holds an object, {one}, beside" in said for one in name.split("|"))
    # What the sentence says works.
    way = said.partition("where it was made: ")[2]
    places = {"torch": torch, "FILE": tmp_path / "a.pt", "COPY": tmp_path / "copy.pt"}
    exec(way, places)
    assert read_tensors(tmp_path / "copy.pt")["state_dict"].keys() == {"a"}
    assert "\n" not in said and "\x1b" not in said and len(said) < 500 + len(str(tmp_path))


def test_nothing_runs_for_numbers_of_numpy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Runs()}, "a.pt")
    with pytest.raises(ValueError, match="cannot be read"):
        read_tensors(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("dtype", ["O", "V8", "M8", "S4", "f8,f8", "x" * 5000])
def test_only_types_of_numbers_are_made(tmp_path, dtype):
    from common.pytorch.torch_files import _Dtype

    with pytest.raises(ValueError, match="is no type of numbers"):
        _Dtype(dtype, False, True)


def test_what_does_not_fit_is_said_with_three_names_and_the_count():
    module = torch.nn.Sequential(*[torch.nn.Linear(2, 2) for _ in range(50)])
    other = {f"module.{name}": value for name, value in module.state_dict().items()}
    with pytest.raises(ValueError) as raised:
        load_weights(module, other)
    assert str(raised.value) == (
        "it lacks 0.weight, 0.bias, 1.weight, … (100 in all); it has besides module.0.weight, module.0.bias, "
        "module.1.weight, … (100 in all)"
    )
    with pytest.raises(ValueError, match=r"^of another shape are 0\.weight \(3, 2\) instead of \(2, 2\)$"):
        load_weights(module, module.state_dict() | {"0.weight": torch.ones(3, 2)})


def test_what_fits_is_loaded_also_without_what_old_files_lack():
    norm, other = torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(2)
    torch.nn.init.constant_(other.weight, 3.0)
    load_weights(norm, {name: value for name, value in other.state_dict().items() if "num_batches" not in name})
    assert torch.equal(norm.weight, other.weight)


def test_weights_that_are_not_finite_are_named():
    weights = {f"w{number}": torch.ones(2) for number in range(6)} | {"count": torch.tensor(3)}
    assert not_finite(weights) == ""
    weights["w1"][0], weights["w4"][1] = float("nan"), float("inf")
    assert not_finite(weights) == "2 of its 7 tensors are not finite, such as w1, w4; its training had failed"
    assert first_of(list("abcd")) == "a, b, c, … (4 in all)"


STOPS = [
    OSError(errno.ENOSPC, "No space left on device"),
    KeyboardInterrupt("No space left on device"),
    RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
]


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("stop", STOPS, ids=["full disk", "ctrl-c", "lost reader"])
def test_what_stops_a_write_is_what_is_raised_and_leaves_the_old_file(tmp_path, monkeypatch, after, stop):
    """Torch raises an error of its own over it, about positions in the file."""
    write_tensors(tmp_path / "a.pt", {"old": 1})
    left = [after]

    class Stops(io.FileIO):
        def write(self, data):
            left[0] -= 1
            if left[0] < 0:
                raise stop
            return super().write(data)

    monkeypatch.setattr(module, "open", Stops, raising=False)
    with pytest.raises(type(stop)) as raised:
        write_tensors(tmp_path / "a.pt", {"new": torch.ones(1000)})
    assert raised.value is stop
    assert read_tensors(tmp_path / "a.pt") == {"old": 1}
    assert os.listdir(tmp_path) == ["a.pt"]


def test_an_error_that_was_handled_meanwhile_did_not_stop_the_write(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("no luck")

    monkeypatch.setattr(torch, "save", fails)
    try:
        raise ValueError("before")
    except ValueError:
        with pytest.raises(RuntimeError, match="no luck"):
            write_tensors(tmp_path / "a.pt", {})


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for name in ("a.pt", "b.pt"):
        write_tensors(tmp_path / name, {"a": torch.arange(5), "b": 2})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_words_are_one_line():
    assert words_of(RuntimeError("a\n\tb")) == "a b"
    assert len(words_of(pickle.UnpicklingError("x " * 5000))) < 410
