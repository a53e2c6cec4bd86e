"""Names that people choose, for keys and annotators: no two of them may look alike."""

import unicodedata

_LOOK_ALIKE = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")
"""Scripts with letters that look like those of the others."""


def name_problem(name: str) -> str | None:
    """What makes a name look like another one, and what to do, as a sentence; None for a plain name."""
    if name != name.strip():
        return f"The name {name[:64]!r} begins or ends with a space; leave it out."
    if not name.isprintable():
        return f"The name {name[:64]!r} contains a character that cannot be seen; leave it out."
    if strange := next((char for char in name if unicodedata.normalize("NFKC", char) not in (char, "")), None):
        plain = unicodedata.normalize("NFKC", strange)
        return f"The name {name[:64]!r} contains {strange!r}, which looks like {plain!r}; write that instead."
    scripts = {script for char in name for script in _LOOK_ALIKE if unicodedata.name(char, "").startswith(script)}
    if len(scripts) > 1:
        mixed = " and ".join(sorted(script.title() for script in scripts))
        return f"The name {name[:64]!r} mixes letters of {mixed}, which look alike; write it in one script."
    return None
