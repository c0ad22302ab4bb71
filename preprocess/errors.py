"""Errors a user can mend: programs print them in one line and exit with 2; work that failed ends with 1."""


class UsageError(Exception):
    """A flag, a path or a tree that cannot be; the message names the value, the rule and the way out."""


class WorkFailed(Exception):
    """The work was begun and some of it could not be done; the message says what and how to go on."""


class Interrupted(Exception):
    """The user stopped the program; what was done is whole and is kept."""
