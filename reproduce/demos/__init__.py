"""Small experiments in minutes: their tables and pictures."""
