"""`profiles.toml`: which version each profile serves, how it is sampled, and its canary."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policies.errors import BrokenPolicy, first_error
from policies.store.replace_file import replace_file
from policies.weights import Weights

PROFILES = "profiles.toml"


class Decoding(BaseModel):
    """How a profile is sampled unless a request says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(0.7, ge=0, le=2)
    top_p: float = Field(0.9, gt=0, le=1)
    max_tokens: int = Field(200, ge=1)


class CanaryShare(BaseModel):
    """A version that gets a share of its profile's traffic."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    share: float = Field(gt=0, lt=1)


class Profile(BaseModel):
    """A name that users ask for, and the version it currently means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    weights: Weights | None = None
    decoding: Decoding = Decoding()
    served: bool = True
    """Whether users can ask for it by name; if not, it is only an anchor of mixtures."""
    canary: CanaryShare | None = None


class ProfilesFile:
    """Reads and edits the file; comments and settings that people wrote stay."""

    def __init__(self, path: Path, replace: Callable[[Path, str], None] = replace_file) -> None:
        """`replace` replaces a file's text."""
        self.path = path
        self._replace = replace

    def read(self) -> dict[str, Profile]:
        """Every profile; none where there is no file. Raises BrokenPolicy for a file that is not valid."""
        try:
            table = tomlkit.parse(self.path.read_text(encoding="utf-8")).unwrap()
            return {name: Profile.model_validate(entry) for name, entry in table.items()}
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            raise BrokenPolicy(
                f"{self.path.name}: {first_error(error)}; fix it or restore it from version control."
            ) from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise BrokenPolicy(
                f"{self.path.name} cannot be read ({reason}); fix it or restore it from version control."
            ) from None

    def set_versions(self, versions: Mapping[str, tuple[str, Weights | None]], served: bool | None = None) -> None:
        """Name the versions that profiles serve, all in one step; `served` None leaves that setting as it is.

        A canary that becomes the current version is a canary no longer.
        """
        document = self._document()
        for profile, (version, weights) in versions.items():
            entry: Any = document.setdefault(profile, tomlkit.table())
            entry["version"] = version
            if weights is not None:
                entry["weights"] = _inline({name: round(value, 6) for name, value in weights.as_dict().items()})
            if served is not None:
                entry["served"] = served
            if (canary := entry.get("canary")) and canary["version"] == version:
                del entry["canary"]
        self._replace(self.path, tomlkit.dumps(document))

    def set_canary(self, profile: str, canary: CanaryShare | None) -> None:
        """Set or, with None, remove the canary of a profile that is in the file."""
        document = self._document()
        entry: Any = document[profile]
        entry.pop("canary", None)
        if canary is not None:
            entry["canary"] = _inline(canary.model_dump())
        self._replace(self.path, tomlkit.dumps(document))

    def _document(self) -> tomlkit.TOMLDocument:
        return tomlkit.parse(self.path.read_text(encoding="utf-8")) if self.path.is_file() else tomlkit.document()


def _inline(values: dict[str, Any]) -> Any:
    table = tomlkit.inline_table()
    table.update(values)
    return table
