"""Errors a user can mend: programs print them in one line and exit with 2; a loss that is no number ends with 1."""


class UsageError(Exception):
    """A flag, a name or a file that cannot be; the message names the value, the rule and the way out."""


class NonFiniteLoss(Exception):
    """Training produced a loss that is not a number."""


class Interrupted(Exception):
    """The user stopped the run; what was done is saved."""


class FrozenWeightsMoved(Exception):
    """Linear evaluation changed what it must not."""
