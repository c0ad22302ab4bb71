"""For every test of moco_nonsem."""

from tests.with_torch import _one_thread, collect_ignore_glob, tree  # noqa: F401
