"""Pre-training: `moco-non-sem-neg.py`."""
