"""The errors a user can meet here: each says the value, the rule it breaks and the way out."""


class ReproduceError(Exception):
    """Something the user can put right; programs print it as one line and end with exit code 2."""


class RecordError(ReproduceError):
    """A run folder, or a value on its way into one, breaks the rules of the run record."""


class DataError(Exception):
    """Data that is missing, damaged, unverifiable or out of reach."""


class UsageError(DataError):
    """A request that cannot be right: an unknown name, an impossible combination of options."""
