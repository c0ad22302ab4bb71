"""A slice of `make torture`: fuzzed command lines of the programs of moco_nonsem."""

from tests.torture.command_lines import check_slice


def test_fuzzed_command_lines_are_refused_in_one_sentence():
    check_slice("moco_nonsem")
