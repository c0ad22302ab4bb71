"""Who a process is, by what torchrun says of it. How it leaves its group: tests/moco_nonsem/running."""

import pytest
import torch.distributed as dist

from re_sln.training.distributed import in_group

MEETING = {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"WORLD_SIZE": "3", "RANK": "2", **MEETING}, (2, 3)),
        ({"WORLD_SIZE": "3", "RANK": "2"}, (0, 1)),  # left over: nobody is told where to meet
        ({"WORLD_SIZE": "4"}, (0, 1)),
        ({"RANK": "1"}, (0, 1)),
        ({}, (0, 1)),
    ],
)
def test_who_this_process_is(monkeypatch, environment, expected):
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", *MEETING):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    joined = []
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **given: joined.append({"by": backend, **given}))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    found = []

    def work(group) -> int:
        found.append((group.rank, group.world_size))
        return 7

    assert in_group("cpu", work) == 7
    assert found == [expected]
    several = [("gloo", 2, 3)] if "MASTER_ADDR" in environment else []
    assert [(one["by"], one["rank"], one["world_size"]) for one in joined] == several
