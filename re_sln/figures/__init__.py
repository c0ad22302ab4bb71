"""What plot.py draws of a run."""
