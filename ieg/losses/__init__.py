"""One pure function per equation; ieg/README.md has the table from equation to file."""
