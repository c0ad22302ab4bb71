"""What every program of moco_nonsem needs to run: flags, processes, the loop, checkpoints, the record."""
