"""What stands in for a CUDA graph where there is no GPU: work is kept, and done again by calling it."""

from torch.utils._python_dispatch import TorchDispatchMode

from tests.host_waits import WAITS

# What makes a tensor of the host's numbers, which are copied to the GPU.
COPIES = {"aten.lift_fresh.default", "aten.lift_fresh_copy.default", "aten.scalar_tensor.default"}


class Watch(TorchDispatchMode):
    """Refuses what cannot be captured, as far as a CPU shows it; sees whether an optimiser stepped."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        assert str(func) not in WAITS | COPIES, f"{func} cannot be captured"
        return func(*args, **(kwargs or {}))


class StandInRecorder:
    def __init__(self):
        self.ran = self.captured = self.replayed = 0
        self.work, self.trains = None, False

    def run(self, work):
        self.ran += 1
        with Watch() as watch:
            work()
        self.trains = self.trains or any("fused_sgd" in name for name in watch.names)

    def capture(self, work):
        self.captured += 1
        self.work = work

    def replay(self):
        self.replayed += 1
        self.work()
