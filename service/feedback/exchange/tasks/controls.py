"""Which controls of a form in another tool are read, and which of them another name stands for.

What people said in a control of an unknown name is never dropped: it could be all they said, and their annotation would
be taken for one without errors.
"""

from collections.abc import Mapping, Sequence

Names = Mapping[str, str]
"""What a form calls a control, and which of the known ones that is, for example `{"label": "errors"}`."""
IGNORED = "ignore"
"""What the name of a control stands for that is to be left out."""


def known_as(name: str, names: Names, known: Sequence[str], kind: str) -> str:
    """Which of the known controls a control is, or IGNORED. Raises ValueError for an unknown one.

    `kind` is what the tool calls a control.
    """
    meant = names.get(name, name)
    if meant in known or meant == IGNORED:
        return meant
    shown = name[:64]
    raise ValueError(
        f"The {kind} {shown!r} is unknown; known are {', '.join(known)}. If it means {known[0]}, add --map "
        f"{shown}={known[0]}; to leave it out, --map {shown}={IGNORED}."
    )
