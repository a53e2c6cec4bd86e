"""How other tools' files name the questions about pairs of responses, and their answers."""

CHOICES = ("tie", "first", "second")
"""The answers, indexed by an item's preference: 0, 1, 2."""


def pair_name(pair: tuple[int, int]) -> str:
    """The name of the question which of two responses is better, for example preference_12."""
    return f"preference_{pair[0]}{pair[1]}"
