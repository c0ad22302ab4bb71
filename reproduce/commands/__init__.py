"""The commands of `python -m reproduce`: their flags, and what each does."""
