"""Errors a user can mend: `main` prints them in one line and exits with 2."""


class UsageError(Exception):
    """A flag, a name or a file that cannot be; the message names the value, the rule and the way out."""


class NonFiniteLoss(Exception):
    """Training produced a loss that is not a number."""
