"""The exception for everything that the user can fix."""

import copyreg
from typing import Any


class FgctlError(Exception):
    """Something the user can fix: its message is one sentence that says what is wrong and what to do."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the message: a subclass may be made of other things, and goes from one process to another, too."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]
