"""Evidence from a GPU within the minutes that one is at hand. Standard library, numpy and Pillow: see `command`."""
