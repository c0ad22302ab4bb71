"""Work that a GPU captures once, as a CUDA graph, and replays: one call of the driver for hundreds of kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

WARM_UP = 3  # calls before the capture: kernels are compiled, chosen by measurement, and memory is laid out


class Recorder(Protocol):
    """What captures work and replays it."""

    def run(self, work: Callable[[], None]) -> None:
        """Does the work, where it will be captured."""

    def capture(self, work: Callable[[], None]) -> None:
        """Keeps what the work would do, and does nothing."""

    def replay(self) -> None:
        """Does what was kept."""


class CudaGraph:
    """The recorder of a GPU. Captured work runs on its own stream, and so do the calls before it."""

    def __init__(self, device: torch.device) -> None:
        self.stream, self.graph = torch.cuda.Stream(device), torch.cuda.CUDAGraph()

    def run(self, work: Callable[[], None]) -> None:
        """Does the work between what was asked for before and what will be afterwards."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            work()
        torch.cuda.current_stream().wait_stream(self.stream)

    def capture(self, work: Callable[[], None]) -> None:
        """Keeps the kernels of the work."""
        with torch.cuda.graph(self.graph, stream=self.stream):
            work()

    def replay(self) -> None:
        """Launches the kernels that were kept."""
        self.graph.replay()


class Replay:
    """Work without arguments that reads and writes the same tensors at each call, in place.

    It may not wait for the device nor read the host's memory, and every Python number in it is a constant from its
    capture on. The first WARM_UP calls do the work as it is, and count. Without a recorder all of them do.
    """

    def __init__(self, work: Callable[[], None], recorder: Recorder | None) -> None:
        self.work, self.recorder, self.calls = work, recorder, 0

    def __call__(self) -> None:
        """Does the work once."""
        if self.recorder is None:
            self.work()
        elif self.calls < WARM_UP:
            self.recorder.run(self.work)
        else:
            if self.calls == WARM_UP:
                self.recorder.capture(self.work)
            self.recorder.replay()
        self.calls += 1


def recorder_of(device: torch.device) -> Recorder | None:
    """A new one; None on a CPU, which has nothing to gain."""
    return CudaGraph(device) if device.type == "cuda" else None


class ReplayedForward:
    """A network's outputs without gradients, replayed for each size of batch. The caller sets its mode.

    What it returns is overwritten by the next call.
    """

    def __init__(
        self,
        network: nn.Module,
        autocast: bool,
        recorder_of: Callable[[torch.device], Recorder | None] = recorder_of,
    ) -> None:
        self.network, self.autocast, self.recorder_of = network, autocast, recorder_of
        self.replays: dict[int, tuple[Tensor, list[Tensor], Replay]] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] → float32 [B, C]."""
        if len(images) not in self.replays:
            self.replays[len(images)] = self._replay(torch.empty_like(images))
        inputs, outputs, replay = self.replays[len(images)]
        inputs.copy_(images)
        replay()
        return outputs[0]

    def _replay(self, inputs: Tensor) -> tuple[Tensor, list[Tensor], Replay]:
        outputs: list[Tensor] = []  # allocated by the first call: one that is captured must not

        def work() -> None:
            # Weights in bfloat16 may not be kept from before the capture: they would be those of an earlier epoch.
            with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.autocast, cache_enabled=False):
                logits = self.network(inputs).float()
            if outputs:
                outputs[0].copy_(logits)
            else:
                outputs.append(logits.clone())

        return inputs, outputs, Replay(work, self.recorder_of(inputs.device))
