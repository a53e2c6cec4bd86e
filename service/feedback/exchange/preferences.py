"""How other tools' files name comparisons of two answers."""

CHOICES = ("tie", "first", "second")
"""By the value that a preference has."""


def pair_name(pair: tuple[int, int]) -> str:
    """The name of a question which of two answers is better, as in preference_12."""
    return f"preference_{pair[0]}{pair[1]}"
