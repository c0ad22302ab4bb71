"""A process leaves its group only after all that its work made is gone, else it may never end."""

import weakref

import pytest
import torch.distributed as dist

from re_sln.training.distributed import in_group


class Made:
    """Stands for a network that is wrapped for several processes; it holds itself, as these do."""

    def __init__(self) -> None:
        self.me = self


@pytest.mark.parametrize("fails", [False, True])
def test_what_the_work_made_is_gone_before_the_group(monkeypatch, fails):
    made: list[weakref.ref] = []
    alive: list[bool] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
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
            in_group("cpu", work)
    else:
        assert in_group("cpu", work) == 3
    assert alive == [False]
