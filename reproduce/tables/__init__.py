"""Tables of the papers from runs, beside what was published."""
