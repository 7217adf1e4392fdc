"""Errors that a user can mend: the command line prints them as one line and exits with code 2."""


class UserError(Exception):
    """Something outside the program is wrong: the message names the thing, its value and the way out."""
