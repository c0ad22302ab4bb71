"""Every command of the README parses, with the flags that it names; every flag that the README names is there."""

import dataclasses
import re
import shlex
from typing import Any

import pytest

from common.flags import parse
from moco_nonsem.linear_probe.config import check as check_linear
from moco_nonsem.pretraining.config import resolve
from moco_nonsem.robustness.config import check as check_robustness
from moco_nonsem.running.flags import LinearFlags, PretrainFlags, RobustnessFlags
from tests.programs import ROOT

PROGRAMS: dict[str, tuple[Any, Any]] = {
    "moco-non-sem-neg.py": (PretrainFlags, resolve),
    "main_lincls.py": (LinearFlags, check_linear),
    "eval_robustness.py": (RobustnessFlags, check_robustness),
}
README = (ROOT / "moco_nonsem" / "README.md").read_text(encoding="utf-8")


def commands():
    block = README.partition("## Commands")[2].partition("```\n")[2].partition("```")[0]
    return [line for line in block.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme_is_one_that_can_be(command):
    words = shlex.split(command)
    places = [place for place, word in enumerate(words) if word in PROGRAMS]
    if not places:
        assert words[1] in ("similarity_curves.py", "view_sheet.py")
        return
    name = words[places[0]]
    flags, check = PROGRAMS[name]
    check(parse(flags, name, "", words[places[0] + 1 :], separator="-"), 2 if "--processes" in words else 1)


def test_there_are_commands_of_every_program_and_mode():
    text = "\n".join(commands())
    assert all(name in text for name in PROGRAMS)
    assert all(f"--robust {mode}" in text for mode in ("nonsem", "patch", "texture_syn", "none"))


def test_the_flags_that_the_readme_names_exist():
    fields = {field.name for program, _ in PROGRAMS.values() for field in dataclasses.fields(program)}
    named = {name.replace("-", "_").removeprefix("no_") for name in re.findall(r"(?<![\w-])--([a-z][\w-]*)", README)}
    assert len(named) > 30
    assert named - fields == {"help", "nproc_per_node", "out"}
