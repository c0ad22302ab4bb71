"""A slice of `make torture`: fuzzed command lines of the programs of re_sln."""

from tests.torture.command_lines import check_slice


def test_fuzzed_command_lines_are_refused_in_one_sentence():
    check_slice("re_sln")
