"""A slice of `make torture`: fuzzed command lines of the programs of ieg."""

from tests.torture.command_lines import campaign
from tests.torture.programs import PROGRAMS


def test_fuzzed_command_lines_are_refused_in_one_sentence():
    programs = tuple(program for program in PROGRAMS if program.module.startswith("ieg."))
    found = campaign(0, 30 * len(programs), 1000, programs)
    assert found["failures"] == []
    assert found["counts"]["command lines"] == 30 * len(programs)
