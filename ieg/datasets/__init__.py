"""Data sets, their noise and split, and the batches made of them."""
