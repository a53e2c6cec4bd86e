"""Drawing a share of names: the same answer for the same name, at any time and in any process."""

import hashlib


def drawn(name: str, share: float) -> bool:
    """Whether a name is among the `share`, from 0 to 1, of all names; who is in a smaller share is in a larger one."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
