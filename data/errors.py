"""Errors of the data package: each message names the value, the rule and the way out."""


class DataError(Exception):
    """Data that is missing, damaged, unverifiable or out of reach."""


class UsageError(DataError):
    """A request that cannot be right: an unknown name, an impossible combination of options."""
