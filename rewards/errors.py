"""The exception for everything that the user can fix."""


class FgctlError(Exception):
    """Something the user can fix: its message is one sentence that says what is wrong and what to do."""
