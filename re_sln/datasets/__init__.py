"""Data sets and their parts."""
