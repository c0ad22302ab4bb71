"""For every test of re_sln."""

from tests.with_torch import _one_thread, collect_ignore_glob  # noqa: F401
