"""Nested objects as table rows: dotted names and values."""

from typing import Any


def flat(value: Any) -> list[tuple[str, str]]:
    """Dotted names and values of nested objects, for a table."""
    return [(name, text(leaf)) for name, leaf in leaves(value).items()]


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    """The values of nested objects by dotted name."""
    if isinstance(value, dict) and value:
        inside = value
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        inside = dict(enumerate(value))
    else:
        return {name: value}
    return {
        dotted: leaf
        for key, inner in inside.items()
        for dotted, leaf in leaves(inner, f"{name}.{key}" if name else str(key)).items()
    }


def text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
