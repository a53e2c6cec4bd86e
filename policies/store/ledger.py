"""The ledger, `promotions.jsonl`: who made which version current, when, why, and with what scores.

One JSON object a line, only ever appended to. A line is written before `profiles.toml` names its version, both under
one lock, so a kill in between leaves a line for a switch that never happened. Such a line is recognised by what comes
next: the next line's `previous`, or `profiles.toml`, names another version. It does not count, so ledger and profiles
never disagree.
"""

import getpass
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from policies.promotion.comparison import Difference
from rewards.errors import FgctlError

LEDGER = "promotions.jsonl"


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

    def __init__(self, file: Path, replace: Callable[[Path, str], None] | None = None) -> None:
        """`replace` replaces the file's text, where lines cannot be appended to it."""
        self.file = file
        self._replace = replace

    def of(self, profile: str) -> list[Promotion]:
        """The lines of a profile, oldest first. Raises FgctlError for an invalid line.

        A last line that a kill cut short is ignored.
        """
        lines = self._content().split(b"\n")
        promotions = []
        for number, line in enumerate(lines, 1):
            promotion = _parsed(line)
            if promotion is not None:
                promotions.append(promotion)
            elif line and number < len(lines):
                raise FgctlError(
                    f"{self.file}, line {number}, is not a valid promotion; restore it from version control."
                )
        return [promotion for promotion in promotions if promotion.profile == profile]

    def append(self, promotion: Promotion) -> None:
        """Add a line, replacing one that was cut short, and wait until it is on disk. The caller holds the lock."""
        content = self._content()
        last = content[content.rfind(b"\n") + 1 :]
        if self._replace is not None:
            whole = content[: len(content) - len(last)] if _parsed(last) is None else content + b"\n"
            self._replace(self.file, whole.decode() + promotion.model_dump_json() + "\n")
            return
        with self.file.open("ab") as file:
            if last and _parsed(last) is None:
                file.truncate(len(content) - len(last))
            elif last:
                file.write(b"\n")
            file.write(promotion.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def withdraw(self, promotion: Promotion) -> None:
        """Remove the line of a promotion that came too late, where lines cannot be appended."""
        if self._replace is not None:
            self._replace(self.file, self._content().decode().replace(f"{promotion.model_dump_json()}\n", ""))

    def _content(self) -> bytes:
        return self.file.read_bytes() if self.file.is_file() else b""


def in_effect(promotions: Sequence[Promotion], current: str | None) -> list[Promotion]:
    """The lines of a profile that count: the next line, or for the last `current`, begins with their version."""
    following = [*(promotion.previous for promotion in promotions), current][1:]
    return [promotion for promotion, version in zip(promotions, following, strict=True) if promotion.version == version]


def trail(promotions: Sequence[Promotion], current: str) -> list[str]:
    """The versions that rollbacks go back through, the current one last.

    A rollback removes the last version, so a second one goes further back. A version that someone wrote into
    `profiles.toml` by hand is on the trail too.
    """
    versions: list[str] = []
    for promotion in in_effect(promotions, current):
        if promotion.previous is not None and versions[-1:] != [promotion.previous]:
            versions.append(promotion.previous)
        if promotion.action == "rollback":
            versions.pop()
        if versions[-1:] != [promotion.version]:
            versions.append(promotion.version)
    return versions if versions[-1:] == [current] else [*versions, current]


def promoter() -> str:
    """Who promotes: $FGCTL_USER, else the login name. Raises FgctlError when there is neither."""
    try:
        return os.environ.get("FGCTL_USER") or getpass.getuser()
    except (KeyError, OSError):
        raise FgctlError(
            "The ledger records who promotes, and there is no login name; set FGCTL_USER to your name."
        ) from None


def _parsed(line: bytes) -> Promotion | None:
    try:
        return Promotion.model_validate_json(line)
    except ValidationError:
        return None
