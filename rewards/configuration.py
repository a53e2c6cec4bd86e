"""Categories beyond the built-in ones, as a TOML file describes them. Reading it loads no model.

    [category.politeness]
    density = "sentence"
    description = "every sentence is polite"
    type = "text-classification"
    model = "/models/toxicity"
    error_labels = ["toxic"]

docs/categories.md is the guide.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, field_validator

from rewards.categories import BUILT_IN, Category, CategorySpec, Density
from rewards.errors import FgctlError

RESERVED = frozenset(
    ["agreement", "critic", "entropy", "kl", "length", "policy", "reward", "sampler", "seconds", "text"]
)
"""Names that no category may have: a run's logs use them for groups of other metrics."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class _Category(_Table):
    UNSCORED: ClassVar[frozenset[str]] = frozenset(["description", "headers", "retries", "timeout_seconds"])
    """Settings that change no score, and so no version."""

    density: Density
    """The pieces of a response that are judged: sub-sentence, sentence or (the whole) response."""
    description: str
    """What a segment without an error is like, in a few words."""
    threshold: float = Field(0.5, gt=0, le=1)
    """Probability from which a segment counts as an error in metrics and reports; rewards do not depend on it."""


class _Classifier(_Category):
    model: str = Field(min_length=1)
    """A directory, or a name on the Hugging Face hub."""
    error_labels: tuple[str, ...] = Field(min_length=1)
    """Those of the model's labels that mean an error."""
    max_tokens: int = Field(512, ge=16)
    """What is longer is cut or split at this many tokens, or fewer where the model takes fewer."""


class TextClassification(_Classifier):
    """Any transformers model for text classification."""

    type: Literal["text-classification"]
    input: Literal["segment", "question-segment", "passages-segment"] = "segment"
    """What it reads: the segment alone, or as the second text of a pair."""


class TokenClassification(_Classifier):
    """Any transformers model for token classification, with a fast tokenizer. It reads the whole response."""

    type: Literal["token-classification"]


class Http(_Category):
    """An HTTP endpoint."""

    type: Literal["http"]
    url: HttpUrl
    """Where responses are posted."""
    timeout_seconds: float = Field(10, gt=0)
    """The longest wait for a connection, and for an answer."""
    retries: int = Field(2, ge=0, le=10)
    """Further attempts after a time-out, a broken connection, 429 or 5xx."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Header name to the environment variable that holds its value, so that no secret is in this file."""

    @field_validator("url")
    @classmethod
    def _no_credentials(cls, url: HttpUrl) -> HttpUrl:
        if url.username or url.password:
            raise ValueError("credentials belong in an environment variable that `headers` names")
        return url


class EntryPoint(_Category):
    """A RewardModel that an installed package declares as an entry point of the group `fgctl.reward_models`."""

    type: Literal["entry-point"]
    name: str
    """The entry point's name."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments for what the entry point names."""


ExtraCategory = TextClassification | TokenClassification | Http | EntryPoint


class Configuration(_Table):
    """The configured categories. Without a file there are none, and the built-in ones remain."""

    category: dict[Category, Annotated[ExtraCategory, Field(discriminator="type")]] = Field(default_factory=dict)

    @field_validator("category")
    @classmethod
    def _names(cls, configured: dict[Category, ExtraCategory]) -> dict[Category, ExtraCategory]:
        for name in configured:
            if name in BUILT_IN:
                raise ValueError(f"{name} is a built-in category; choose another name")
            if name in RESERVED:
                raise ValueError(f"the name {name} is reserved; choose another")
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a name; use up to 63 lower-case letters, digits and '_'")
        return configured

    @property
    def specs(self) -> dict[Category, CategorySpec]:
        """Every category in use: the built-in ones, then the configured ones in the file's order."""
        extra = {name: CategorySpec(one.density, (), one.description) for name, one in self.category.items()}
        return BUILT_IN | extra

    def scored(self) -> dict[str, Any]:
        """All settings that scores depend on, as JSON has them."""
        return {
            name: one.model_dump(mode="json", exclude=set(one.UNSCORED)) for name, one in sorted(self.category.items())
        }


def load_configuration(path: Path | None = None) -> Configuration:
    """Read a file of categories: $FGCTL_CATEGORIES by default, or else none.

    Raises FgctlError naming the file and the setting that is wrong.
    """
    if path is None:
        named = os.environ.get("FGCTL_CATEGORIES")
        if not named:
            return Configuration()
        path = Path(named)
    try:
        return Configuration.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise FgctlError(f"{path} does not exist; set FGCTL_CATEGORIES to a file of categories.") from None
    except ValidationError as error:
        raise FgctlError(f"{path}: {_first(error)}; mend it (docs/categories.md).") from None
    except (OSError, ValueError) as error:
        raise FgctlError(f"{path} is not a TOML file ({error}); mend or replace it.") from None


def _first(error: ValidationError) -> str:
    first: Mapping[str, Any] = error.errors()[0]
    location = list(first["loc"])
    del location[2:3]  # pydantic names the type there
    said = str(first.get("ctx", {}).get("error", first["msg"]))
    return f"{'.'.join(map(str, location))}: {said}"
