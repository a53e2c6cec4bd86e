"""Offsets in UTF-16 code units, which browsers count, and in Unicode code points, which everything here counts."""


def to_utf16(text: str, offset: int) -> int:
    """An offset in code points as one in UTF-16 code units."""
    return len(text[:offset].encode("utf-16-le", "surrogatepass")) // 2


def from_utf16(text: str, offset: int) -> int:
    """An offset in UTF-16 code units as one in code points.

    Raises ValueError if it lies outside the text or within a character.
    """
    units = text.encode("utf-16-le", "surrogatepass")
    if not 0 <= 2 * offset <= len(units):
        raise ValueError(f"Offset {offset} lies outside a text of {len(units) // 2} UTF-16 units.")
    try:
        return len(units[: 2 * offset].decode("utf-16-le"))
    except UnicodeDecodeError:
        raise ValueError(f"Offset {offset} in UTF-16 units lies within a character.") from None
