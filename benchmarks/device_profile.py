"""What a device is doing, by torch's profiler: how much of the time it computes, and which kernels take longest."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

MOST = 15


def wait_for(device: Any) -> None:
    """Until the device has done all that it was asked for."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def profiled(work: Callable[[], object], device: Any) -> dict[str, Any]:
    """busy_share of the wall time of `work`, in which kernels ran, 0…1; kernels: the longest, with milliseconds."""
    from torch.profiler import ProfilerActivity, profile

    on_gpu = device.type == "cuda"
    work()  # the profiler's own start is not counted
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiler:
        wait_for(device)
        begun = time.perf_counter()
        work()
        wait_for(device)
        wall = time.perf_counter() - begun
    name = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    found = sorted(((getattr(event, name), event.count, event.key) for event in profiler.key_averages()), reverse=True)
    return {
        "wall_seconds": round(wall, 5),
        "busy_share": round(min(1.0, sum(micro for micro, _, _ in found) / 1e6 / wall), 3),
        "kernels": [
            {"name": key[:100], "calls": count, "milliseconds": round(micro / 1e3, 3)}
            for micro, count, key in found[:MOST]
        ],
    }
