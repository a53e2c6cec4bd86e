"""The ledger of promotions, `policies/promotions.jsonl`: who made which version current, when, why, on what scores.

One JSON object a line, only ever appended to. A line is written before `profiles.toml` names its version, both under
one lock, so a kill in between leaves a line whose switch never happened. What follows tells such a line: the next
line's `previous`, or `profiles.toml`, names another version. It does not count, and so the two never disagree.
"""

import getpass
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from policies.comparison import Difference
from rewards.errors import FgctlError


class Promotion(BaseModel):
    """One line of the ledger."""

    model_config = ConfigDict(frozen=True)

    action: Literal["promote", "rollback"]
    profile: str
    version: str
    previous: str | None
    """The version that was current before; None for a profile's first."""
    who: str
    when: datetime
    reason: str
    scores: dict[str, Any]
    """The version's recorded scores at that time, without the values by question."""
    difference: Difference | None
    """In weighted reward from the previous version; None where the two were not compared."""
    overridden: str | None
    """The refusal that --force overrode."""


class Ledger:
    """Reads and appends to the file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def of(self, profile: str) -> list[Promotion]:
        """The lines of a profile, oldest first. Raises FgctlError for a line that is no promotion.

        A last line that a kill has torn is none at all.
        """
        lines = self._content().split(b"\n")
        found = []
        for number, line in enumerate(lines, 1):
            promotion = _parsed(line)
            if promotion is not None:
                found.append(promotion)
            elif line and number < len(lines):
                raise FgctlError(f"{self.file}, line {number}, is no promotion; restore it from version control.")
        return [one for one in found if one.profile == profile]

    def append(self, promotion: Promotion) -> None:
        """Add a line and wait until it is on the disk; a torn last line makes way. The caller holds the lock."""
        content = self._content()
        last = content[content.rfind(b"\n") + 1 :]
        with self.file.open("ab") as file:
            if last and _parsed(last) is None:
                file.truncate(len(content) - len(last))
            elif last:
                file.write(b"\n")
            file.write(promotion.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _content(self) -> bytes:
        return self.file.read_bytes() if self.file.is_file() else b""


def in_effect(promotions: Sequence[Promotion], current: str | None) -> list[Promotion]:
    """Those of a profile's lines that count: what came next, the current version for the last, begins with theirs."""
    after = [*(one.previous for one in promotions), current][1:]
    return [one for one, version in zip(promotions, after, strict=True) if one.version == version]


def trail(promotions: Sequence[Promotion], current: str) -> list[str]:
    """The versions that rolling back goes through, the current one last.

    A rollback takes the last version off, so that a second one goes further back. A version that someone wrote into
    `profiles.toml` by hand is on the trail too.
    """
    versions: list[str] = []
    for one in in_effect(promotions, current):
        if one.previous is not None and versions[-1:] != [one.previous]:
            versions.append(one.previous)
        if one.action == "rollback":
            versions.pop()
        if versions[-1:] != [one.version]:
            versions.append(one.version)
    return versions if versions[-1:] == [current] else [*versions, current]


def promoter() -> str:
    """Who promotes: $FGCTL_USER, else the user's login name. Raises FgctlError when there is neither."""
    try:
        return os.environ.get("FGCTL_USER") or getpass.getuser()
    except (KeyError, OSError):
        raise FgctlError("The ledger needs to know who promotes; set FGCTL_USER to your name.") from None


def _parsed(line: bytes) -> Promotion | None:
    try:
        return Promotion.model_validate_json(line)
    except ValidationError:
        return None
