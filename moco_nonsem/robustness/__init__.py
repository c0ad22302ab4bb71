"""Robustness: `eval_robustness.py`."""
