"""The errors a user can meet here: each says the value, the rule it breaks and the way out."""


class ReproduceError(Exception):
    """Something the user can put right; programs print it as one line and end with exit code 2."""


class RecordError(ReproduceError):
    """A run folder, or a value on its way into one, breaks the rules of the run record."""
