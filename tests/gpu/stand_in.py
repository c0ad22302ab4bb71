"""A GPU for tests where there is none: its tensors compute on the CPU, say `cuda:0`, and mix with no others.

A tensor lies on it where its storage is marked so. What torch itself refuses on a machine with a GPU is refused here:
operations over tensors of both devices, numpy's view of a tensor of the GPU, a device without a number where one is
needed.
"""

import contextlib
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
AS_THEY_ARE = (torch.device, torch.load, torch._C._nn._parse_to)  # they name devices, and move nothing themselves
COPIES = {"aten._to_copy.default", "aten.copy_.default"}
BY_INDEX = {"aten.index.Tensor", "aten.index_put_.default"}  # a tensor of the GPU may be read by indices of the host


def on_gpu(value: torch.Tensor) -> bool:
    with torch._C.DisableTorchFunction():
        return getattr(value.untyped_storage(), "on_gpu", False)


def tensors_in(values: Any) -> list[torch.Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]


def put(value: Any, on: bool) -> Any:
    """Marks the tensors in `value`."""
    with torch._C.DisableTorchFunction():
        for tensor in tensors_in(value):
            tensor.untyped_storage().on_gpu = on
    return value


def device_in(values: Any) -> torch.device | None:
    """The device that is named in arguments; a tensor's where it stands for one is not looked at."""
    for value in tree_leaves(values):
        if isinstance(value, torch.device) or (isinstance(value, str) and value.partition(":")[0] in ("cuda", "cpu")):
            return torch.device(value)
    return None


def as_cpu(values: Any) -> Any:
    """The arguments with the CPU in the GPU's place."""
    return tree_map(lambda value: CPU if device_in([value]) is not None else value, values)


class Calls(TorchFunctionMode):
    """Devices as torch's functions name them: where tensors are made, moved, and asked where they are."""

    def __init__(self, operations):
        super().__init__()
        self.operations = operations

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensor = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if func in AS_THEY_ARE:
            return func(*args, **kwargs)
        if func == torch.Tensor.device.__get__:
            return GPU if on_gpu(tensor) else CPU
        if func == torch.Tensor.is_cuda.__get__:
            return on_gpu(tensor)
        if func in (torch.Tensor.numpy, torch.Tensor.__array__) and on_gpu(tensor):
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy it first")
        if func is torch.Tensor.pin_memory:
            assert not on_gpu(tensor), "only memory of the CPU can be pinned"
            return tensor
        if func in (torch.Tensor.cuda, torch.Tensor.cpu):
            func, args = torch.Tensor.to, (tensor, GPU if func is torch.Tensor.cuda else CPU)
        if func is torch.Tensor.to:
            return self.moved(tensor, args[1:], kwargs)
        wanted = device_in([args, kwargs])
        if wanted is None:
            # What a function makes of numbers on its way lies where its tensors do.
            self.operations.inside.append(any(on_gpu(value) for value in tensors_in([args, kwargs])))
            try:
                made = func(*args, **kwargs)
            finally:
                here = self.operations.inside.pop()
            return put(made, here) if func == torch.Tensor.new_tensor else made
        return put(func(*as_cpu(args), **as_cpu(kwargs)), wanted.type == "cuda")

    @staticmethod
    def moved(tensor, args, kwargs):
        wanted = device_in([args, kwargs])
        for value in tree_leaves([args, kwargs]):
            if isinstance(value, torch.Tensor):
                wanted = GPU if on_gpu(value) else CPU
        if wanted is None or (wanted.type == "cuda") == on_gpu(tensor):
            return torch.Tensor.to(tensor, *as_cpu(args), **as_cpu(kwargs))
        return put(torch.Tensor.to(tensor, *as_cpu(args), **{**as_cpu(kwargs), "copy": True}), wanted.type == "cuda")


class Operations(TorchDispatchMode):
    """What tensors are computed from decides where they are; single numbers of the CPU go everywhere."""

    def __init__(self):
        super().__init__()
        self.inside = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = tensors_in([args, kwargs])
        there = [on_gpu(value) for value in given]
        may_mix = str(func) in COPIES or (str(func) in BY_INDEX and there[0])
        if any(there) and not may_mix:
            strangers = [tuple(value.shape) for value, on in zip(given, there, strict=True) if value.dim() and not on]
            if strangers:
                raise RuntimeError(f"{func}: tensors of the GPU with one of the CPU, of shape {strangers[0]}")
        result = func(*args, **(kwargs or {}))
        if may_mix:
            mine = there[0]
        else:
            mine = any(there) if there else self.inside[-1:] == [True]
        if mine and str(func) != "aten._local_scalar_dense.default":
            put(result, True)
        return result


class Stream:
    def __init__(self, device=None):
        pass

    def wait_stream(self, other):
        assert isinstance(other, Stream)


def set_device(device):
    assert not isinstance(device, torch.device) or device.index is not None, "a device without a number"


@contextlib.contextmanager
def stand_in_gpu():
    """In here there is one."""
    current, autocast, operations = Stream(), torch.autocast, Operations()
    fake = {
        "is_available": lambda: True, "init": lambda: None, "device_count": lambda: 1,
        "get_device_name": lambda *_: "stand-in GPU",
        "set_device": set_device, "synchronize": lambda *_: None, "current_stream": lambda *_: current,
        "Stream": Stream, "stream": lambda _: contextlib.nullcontext(), "max_memory_allocated": lambda *_: 1,
        "reset_peak_memory_stats": lambda *_: None, "set_sync_debug_mode": lambda _: None,
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, stand_in in fake.items():
            patch.setattr(torch.cuda, name, stand_in)
        patch.setattr(torch.accelerator, "is_available", lambda: False)  # readers would pin memory in C
        patch.setattr(torch, "autocast", lambda kind, *a, **k: autocast("cpu" if kind == "cuda" else kind, *a, **k))
        with Calls(operations), operations:
            yield
