"""Recipes: which features each head reads and its regularisation, as TOML files in rewards/recipes or elsewhere."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from rewards.dataset import PACKAGE
from rewards.errors import FgctlError
from rewards.features.extractor import RESPONSE_GROUPS, SEGMENT_GROUPS

RECIPES = PACKAGE / "recipes"
BEST = "best"
"""The recipe of the shipped reward models, and the default."""


class HeadRecipe(BaseModel):
    """The inputs and the regularisation of one head."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: tuple[str, ...] = Field(min_length=1)
    """Groups of features it reads, named in SEGMENT_GROUPS or RESPONSE_GROUPS of rewards.features.extractor."""
    strength: float = Field(gt=0)
    """Inverse of the L2 regularisation."""

    def used(self, available: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        """The names of the features it reads."""
        return tuple(name for group, names in available.items() if group in self.groups for name in names)


class ReferenceRecipe(BaseModel):
    """How much labels from reference answers count beside annotations (rewards.fitting.reference_table)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    relevance: float = Field(0.0, ge=0)
    """Weight of a segment, where an annotated one counts 1."""
    factuality: float = Field(0.0, ge=0)
    """Weight of a sentence, where an annotated one counts 1."""
    completeness: float = Field(0.0, ge=0)
    """Factor of the head fitted on pairs of references and extracts, which is added to that fitted on feedback."""
    preference: float = Field(0.0, ge=0)
    """The same for the overall preference."""


class FitRecipe(BaseModel):
    """How all heads are fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    """The name of the file without `.toml`."""
    description: str
    """One sentence, for tables."""
    relevance: HeadRecipe
    factuality: HeadRecipe
    missing: HeadRecipe
    completeness: HeadRecipe
    preference: HeadRecipe
    relevance_only_weight: float = Field(0.0, ge=0, le=1)
    """Weight, in fitting factuality, of sentences with only relevance errors. Wu et al. 2023 leave them out (0)."""

    references: ReferenceRecipe = ReferenceRecipe()
    """What reference answers add to the annotations; nothing by default."""

    @model_serializer(mode="wrap")
    def _readable_by_earlier_versions(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `references` where they add nothing: earlier versions refuse settings that they do not know."""
        settings: dict[str, Any] = dump(self)
        if self.references == ReferenceRecipe():
            del settings["references"]
        return settings

    @model_validator(mode="after")
    def _groups_exist(self) -> "FitRecipe":
        for name, groups in (
            ("relevance", SEGMENT_GROUPS), ("factuality", SEGMENT_GROUPS), ("missing", RESPONSE_GROUPS),
            ("completeness", RESPONSE_GROUPS), ("preference", RESPONSE_GROUPS),
        ):  # fmt: skip
            for group in getattr(self, name).groups:
                if group not in groups:
                    raise ValueError(f"{name} has no features {group!r}; choose among {', '.join(groups)}")
        return self


def load_recipe(name: str = BEST) -> FitRecipe:
    """Load the recipe of that name in rewards/recipes, or the TOML file at that path.

    Raises FgctlError when there is none, or naming the setting that is invalid.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
        return FitRecipe.model_validate(settings | {"name": path.stem})
    except OSError:
        available = ", ".join(recipe_names())
        raise FgctlError(f"There is no recipe {name}; choose one of {available}, or a TOML file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FgctlError(f"{path} is not TOML ({error}); fix it.") from None
    except ValidationError as error:
        problem = error.errors()[0]
        setting = ".".join(map(str, problem["loc"])) or "the recipe"
        raise FgctlError(f"{path}: {setting}: {problem['msg']}; fix it.") from None


def recipe_names() -> list[str]:
    """The names of the recipes in rewards/recipes."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))
