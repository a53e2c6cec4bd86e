"""The one exception a user of any fgctl command is expected to meet."""


class FgctlError(Exception):
    """Something the user can put right: one sentence saying what is wrong and what to do."""
