"""A process leaves its group only after all that its work made is gone, else it may never end."""

import weakref

import pytest
import torch.distributed as dist

from common.errors import UsageError
from moco_nonsem.running.distributed import in_group
from moco_nonsem.running.flags import PretrainFlags
from moco_nonsem.running.launch import Place, places

TWO = Place(rank=0, world_size=2)


class Made:
    """Stands for a network that is wrapped for several processes; it holds itself, as these do."""

    def __init__(self) -> None:
        self.me = self


@pytest.mark.parametrize("fails", [False, True])
def test_what_the_work_made_is_gone_before_the_group(monkeypatch, fails):
    made: list[weakref.ref] = []
    alive: list[bool] = []
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: alive.append(made[0]() is not None))

    def inner(thing: Made) -> int:
        made.append(weakref.ref(thing))
        if fails:
            raise ValueError("in the middle")
        return 3

    def work(_group) -> int:
        thing = Made()
        return inner(thing)

    if fails:
        with pytest.raises(ValueError, match="in the middle"):
            in_group(TWO, work)
    else:
        assert in_group(TWO, work) == 3
    assert alive == [False]


def several(**flags) -> list[Place]:
    return places(PretrainFlags(data="", dist_backend="gloo", device="cpu", **flags), 0)


def test_processes_of_one_machine_meet_at_a_free_port_of_it():
    first, other = several(multiprocessing_distributed=True, processes=2)
    assert first.url == other.url and first.url.startswith("tcp://localhost:")
    assert int(first.url.rpartition(":")[2]) > 1023
    given = several(multiprocessing_distributed=True, processes=2, dist_url="tcp://localhost:10001")
    assert {place.url for place in given} == {"tcp://localhost:10001"}


@pytest.mark.parametrize("started", [{}, {"multiprocessing_distributed": True}])
def test_several_machines_must_be_told_where_to_meet(started):
    with pytest.raises(UsageError, match="--dist-url=tcp://ADDRESS:PORT"):
        several(world_size=2, rank=1, **started)
    places_ = several(world_size=2, rank=1, dist_url="tcp://a:1", **started)
    assert [(place.rank, place.url) for place in places_] == [(1, "tcp://a:1")]
