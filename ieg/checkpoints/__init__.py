"""The state of a run on disk, its own and that of other programs."""
