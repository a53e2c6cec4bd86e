"""Further categories, described in a TOML file. Reading the file loads no model.

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

from rewards.categories import BUILT_IN, TOXICITY, TOXICITY_SPEC, Category, CategorySpec, Density, Needs
from rewards.errors import FgctlError

RESERVED = frozenset(
    ["agreement", "critic", "entropy", "kl", "length", "policy", "reward", "sampler", "seconds", "text", "validation"]
)
"""Names that no category may have, because a run's logs use them for other groups of metrics."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class _Category(_Table):
    UNSCORED: ClassVar[frozenset[str]] = frozenset(["description", "headers", "needs", "retries", "timeout_seconds"])
    """Settings that change neither scores nor the scorer's version."""

    density: Density
    """What is judged: each sub-sentence, each sentence, or the whole response."""
    description: str
    """What a segment without an error is like, in a few words."""
    threshold: float = Field(0.5, gt=0, le=1)
    """The probability from which a segment counts as an error in metrics and reports. It does not change rewards."""
    needs: Needs | None = None
    """What an answer must come with to be judged; None for what its model reads."""

    @property
    def needed(self) -> Needs:
        """What an answer must come with, as set or by the model's kind: an unknown model may read everything."""
        return self.needs or "passages"


class _Classifier(_Category):
    model: str = Field(min_length=1)
    """A directory, or a model name on the Hugging Face hub."""
    error_labels: tuple[str, ...] = Field(min_length=1)
    """Which of the model's labels mean an error."""
    max_tokens: int = Field(512, ge=16)
    """The most tokens read at once, or fewer if the model takes fewer; longer text is cut or split."""


class TextClassification(_Classifier):
    """A transformers model for text classification."""

    type: Literal["text-classification"]
    input: Literal["segment", "question-segment", "passages-segment"] = "segment"
    """Whether it reads a segment alone, or as the second text of a pair."""

    @property
    def needed(self) -> Needs:
        """What it reads, unless set."""
        reads: dict[str, Needs] = {"segment": "nothing", "question-segment": "question"}
        return self.needs or reads.get(self.input, "passages")


class TokenClassification(_Classifier):
    """A transformers model for token classification, with a fast tokenizer. It reads the whole response."""

    type: Literal["token-classification"]

    @property
    def needed(self) -> Needs:
        """Nothing but the text, unless set."""
        return self.needs or "nothing"


class Http(_Category):
    """An HTTP endpoint."""

    type: Literal["http"]
    url: HttpUrl
    """The URL that responses are posted to."""
    timeout_seconds: float = Field(10, gt=0)
    """The longest wait for a connection, and for a reply."""
    retries: int = Field(2, ge=0, le=10)
    """How often to try again after a time-out, a broken connection, 429 or 5xx."""
    headers: dict[str, str] = Field(default_factory=dict)
    """By header name, the environment variable that holds the value, so that the file contains no secret."""

    @field_validator("url")
    @classmethod
    def _no_credentials(cls, url: HttpUrl) -> HttpUrl:
        if url.username or url.password:
            raise ValueError("credentials belong in an environment variable that `headers` names")
        return url


class EntryPoint(_Category):
    """A RewardModel that an installed package declares in the entry-point group `fgctl.reward_models`."""

    type: Literal["entry-point"]
    name: str
    """The entry point's name."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the class or function that the entry point names."""


ExtraCategory = TextClassification | TokenClassification | Http | EntryPoint


class Configuration(_Table):
    """The configured categories. Without a file there are the built-in ones and toxicity.

    A configured category of the name toxicity replaces the shipped scorer.
    """

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
        """Every category in use: the built-in ones, toxicity, then the configured ones in the file's order."""
        extra = {
            name: CategorySpec(table.density, (), table.description, needs=table.needed)
            for name, table in self.category.items()
        }
        return BUILT_IN | {TOXICITY: TOXICITY_SPEC} | extra

    def scored(self) -> dict[str, Any]:
        """All settings that scores depend on, as JSON values."""
        return {
            name: table.model_dump(mode="json", exclude=set(table.UNSCORED))
            for name, table in sorted(self.category.items())
        }


def load_configuration(path: Path | None = None) -> Configuration:
    """Read a file of categories, by default $FGCTL_CATEGORIES; without either there are none.

    Raises FgctlError naming the file and the setting that is wrong.
    """
    if path is None:
        configured = os.environ.get("FGCTL_CATEGORIES")
        if not configured:
            return Configuration()
        path = Path(configured)
    try:
        return Configuration.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise FgctlError(f"{path} does not exist; set FGCTL_CATEGORIES to a file of categories.") from None
    except ValidationError as error:
        raise FgctlError(f"{path}: {_first_problem(error)}; fix it (see docs/categories.md).") from None
    except (OSError, ValueError) as error:
        raise FgctlError(f"{path} is not a TOML file ({error}); fix or replace it.") from None


def _first_problem(error: ValidationError) -> str:
    """The first problem that pydantic found, as `setting: reason`."""
    problem: Mapping[str, Any] = error.errors()[0]
    setting = list(problem["loc"])
    del setting[2:3]  # pydantic inserts the value of `type` there
    reason = problem.get("ctx", {}).get("error", problem["msg"])
    return f"{'.'.join(map(str, setting))}: {reason}"
