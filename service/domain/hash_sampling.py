"""Drawing a share of names: the same answer for the same name, at any time and in any process."""

import hashlib


def draw(name: str) -> float:
    """A name's place among all names: evenly distributed over [0, 1)."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def drawn(name: str, share: float) -> bool:
    """Whether a name is among the `share`, from 0 to 1, of all names; who is in a smaller share is in a larger one."""
    return draw(name) < share
