"""The first demo, three methods in a minute: its table and pictures."""
