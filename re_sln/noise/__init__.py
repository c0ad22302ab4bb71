"""Noisy labels: rules, draws, and the files that hold them."""
