"""A run keeps its identity: the hash of every program's configuration is what it was when runs were recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import ieg.settings.config
import ieg.settings.flags
import moco_nonsem.linear_probe.config
import moco_nonsem.pretraining.config
import re_sln.search.search
import re_sln.settings.config
import re_sln.settings.flags
from common.records.config_text import config_hash
from moco_nonsem.running.flags import LinearFlags, PretrainFlags


def of_ieg() -> dict[str, Any]:
    return ieg.settings.config.resolve(ieg.settings.flags.parse_flags([]), 1).record()


def of_sln(name: str, *words: str) -> dict[str, Any]:
    program = re_sln.settings.flags.PROGRAMS[name]
    return re_sln.settings.config.resolve(program, re_sln.settings.flags.parse_flags(program, list(words))).record()


def of_search() -> dict[str, Any]:
    return re_sln.search.search.resolve_search(re_sln.search.search.parse_search(["--custom_noise"])).record()


def of_pretraining() -> dict[str, Any]:
    return moco_nonsem.pretraining.config.resolve(PretrainFlags(data="x")).record()


def of_linear_probe() -> dict[str, Any]:
    return moco_nonsem.linear_probe.config.record(LinearFlags(data="x"), "0" * 64)


# Without --custom_noise, re_sln asks for the authors' noise file before it says what the run is.
RECORDS: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "ieg.main": (of_ieg, "aac74729eb937a16647a9cad6387a376b44a844703c3a4968ff87878ff262b5c"),
    "re_sln.train_cifar": (
        lambda: of_sln("train_cifar", "--custom_noise"),
        "f9acdf2d7a97a9479a632653fa6eab8031fda4d62878d617b9b8b96d21eb5f61",
    ),
    "re_sln.train_real": (
        lambda: of_sln("train_real"),
        "3582d45f6172b683647150a1684ac517bfdb27d1e9f3f6f4b8715b14378032d4",
    ),
    "re_sln.train_clothing1m": (
        lambda: of_sln("train_clothing1m"),
        "9f512b213f6fee5f30e2aac19484bb24ed8adcf8857c1368140dae8bd0adc951",
    ),
    "re_sln.tune": (of_search, "e4c4b7dbf59db55c61fc15b1b4cdeab02d85b3eeaffb715283e534e8448644a8"),
    "moco_nonsem.moco-non-sem-neg": (
        of_pretraining,
        "18521dac1ba4c81425ce5819f2e0331e483c355629c8723871c966c6c761cd5b",
    ),
    "moco_nonsem.main_lincls": (of_linear_probe, "f4b3b0b67f9446a9fd85585341db207435a0d1a3d5dc8c6fcb546c0337ba4e17"),
}


@pytest.mark.parametrize("program", RECORDS)
def test_the_default_configuration_has_the_hash_that_it_had(program: str) -> None:
    record, digest = RECORDS[program]
    assert config_hash(record()) == digest
