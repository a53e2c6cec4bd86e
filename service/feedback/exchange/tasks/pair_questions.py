"""How other tools' files name the questions about pairs of responses, and their answers."""

CHOICES = ("tie", "first", "second")
"""The answers, indexed by an item's preference: 0, 1, 2."""


def pair_name(pair: tuple[int, int]) -> str:
    """The name of the question which of two responses is better, for example preference_12."""
    return f"preference_{pair[0]}{pair[1]}"


def choice_of(choice: str | None, name: str) -> int:
    """The preference that an answer to a question about a pair stands for. Raises ValueError for an unknown one."""
    if choice not in CHOICES:
        raise ValueError(f"The choice of {name} is {choice!r}; choose {', '.join(CHOICES)}.")
    return CHOICES.index(choice)
