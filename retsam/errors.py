"""The one kind of error that a user can mend."""


class UserError(ValueError):
    """Said in its own words (what is wrong, where, and the fix), without a traceback; exit code 2."""
