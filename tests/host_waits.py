"""Where a program would wait for a GPU, or a GPU for the host: seen without one, on tensors that have no numbers."""

import contextlib

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# What makes a GPU wait for the host, or the host for it, or gives a result of a shape that only the data know.
WAITS = {"aten._local_scalar_dense.default", "aten.nonzero.default", "aten.equal.default", "aten.masked_select.default"}
GPU = torch.device("meta")  # in the GPU's place: tensors there have shapes only


@contextlib.contextmanager
def host_waits(pinned):
    """A list of what waits, of all that is done in here. pinned: addresses of memory that a GPU can read."""
    found: list[str] = []
    with _Made(found), _Done(found, pinned):
        yield found


class _Made(TorchFunctionMode):
    """Tensors of Python's numbers, which no dispatcher sees."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor) and result.device == GPU:
            self.found.append(func.__name__)
        return result


class _Done(TorchDispatchMode):
    def __init__(self, found, pinned):
        super().__init__()
        self.found, self.pinned = found, pinned

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if str(func) in WAITS:
            self.found.append(str(func))
        result = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            source = args[0] if func is torch.ops.aten._to_copy.default else args[1]
            ready = source.device.type == "cpu" and source.data_ptr() in self.pinned
            at_once = (kwargs or {}).get("non_blocking") or args[2:3] == (True,)
            if source.device != result.device and not (at_once and ready):
                self.found.append(f"{func} of {tuple(source.shape)} from {source.device} to {result.device}")
        if func in (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default) and args[0].device == GPU:
            indices = [index for index in args[1] if index is not None]
            self.found += [f"{func} by {i.dtype} on {i.device}" for i in indices if i.device != GPU]
        return result


@contextlib.contextmanager
def as_if_on_a_gpu(monkeypatch):
    """The addresses of what was pinned in here."""
    pinned = set()

    def pin(tensor):
        pinned.add(tensor.data_ptr())
        return tensor

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "pin_memory", pin)
        patch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # it knows no such device
        yield pinned
