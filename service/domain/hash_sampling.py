"""Drawing a share of names by their hash: the same result for the same name, at any time and in any process."""

import hashlib


def draw(name: str) -> float:
    """A number in [0, 1) that depends on the name alone; evenly distributed over names."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def drawn(name: str, share: float) -> bool:
    """Whether a name is in a share, from 0 to 1, of all names. A name in a smaller share is in every larger one."""
    return draw(name) < share
