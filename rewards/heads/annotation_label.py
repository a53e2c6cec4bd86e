"""Which annotation label an error most likely has: a small multinomial head a category, kept beside the rewards.

The heads lie in a file of their own, with a version of their own. They neither change a score nor pay a policy, and the
rewards' version, by which policies say what they were trained on, stays what it is when they are fitted anew.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from rewards.categories import Category
from rewards.errors import FgctlError
from rewards.heads.linear import standardisation
from rewards.heads.stored_json import nine_digits

logger = logging.getLogger(__name__)
Matrix = NDArray[np.float64]


class LabelHead(BaseModel):
    """For each label, `intercept + sum_i weight_i * (x_i - mean_i) / scale_i`: log-odds up to what all labels share."""

    model_config = ConfigDict(frozen=True)

    labels: tuple[str, ...]
    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weight: tuple[tuple[float, ...], ...]
    """One row a label."""
    intercept: tuple[float, ...]

    @model_validator(mode="after")
    def _same_lengths(self) -> "LabelHead":
        if not len(self.labels) == len(self.weight) == len(self.intercept) > 0:
            raise ValueError("labels, weight and intercept differ in length")
        if any(len(row) != len(self.features) for row in (self.mean, self.scale, *self.weight)):
            raise ValueError("features, mean, scale and weight differ in length")
        return self

    def most_likely(self, x: Matrix) -> list[str]:
        """The likeliest label of each error: float64 [errors, features] to [errors]."""
        standardised = (x - np.asarray(self.mean)) / np.asarray(self.scale)
        logits = standardised @ np.asarray(self.weight).T + np.asarray(self.intercept)
        return [self.labels[i] for i in logits.argmax(axis=1)]


class FittedLabels(BaseModel):
    """`rewards.labels.json`: the heads, which rewards they belong to and how well they name what people named."""

    model_config = ConfigDict(frozen=True)

    version: str
    rewards: str
    """Version of the fitted rewards whose errors they name."""
    heads: dict[Category, LabelHead]
    """Of the categories whose labels are worth saying (rewards.statistics.agreement_with_people.label_agreement)."""
    data: dict[str, str]
    """Name and SHA-256 of the feedback."""
    agreement: dict[Category, Any]
    """Cross-validated agreement with people on that feedback (rewards.fitting.fit_label_heads), of every category."""
    created: datetime
    fgctl: str


def labels_path(rewards: Path) -> Path:
    """Where the labels of a file of fitted rewards are kept: `rewards.labels.json` beside `rewards.json`."""
    return rewards.with_suffix(".labels.json")


def assemble_labels(
    heads: Mapping[Category, LabelHead], rewards: str, *, data: dict[str, str], agreement: dict[Category, Any]
) -> FittedLabels:
    """Fitted heads with all that is known of them, for rewards of that version. Weights are rounded to nine digits."""
    rounded = {
        name: LabelHead.model_validate(nine_digits(head.model_dump(mode="json"))) for name, head in heads.items()
    }
    return FittedLabels(
        version=labels_version(rounded, rewards),
        rewards=rewards,
        heads=rounded,
        data=data,
        agreement=agreement,
        created=datetime.now(UTC).replace(microsecond=0),
        fgctl=package_version("fgctl"),
    )


def load_labels(rewards: Path, version: str) -> FittedLabels | None:
    """Load the labels beside a file of fitted rewards, which are of that version; None where there are none.

    Rewards that were fitted before there were labels score as they did. Raises FgctlError when the labels are damaged
    or of other rewards.
    """
    path = labels_path(rewards)
    mend = f"run `fgctl rewards fit --only-labels --out {rewards}`"
    try:
        fitted = FittedLabels.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        logger.warning("errors get no labels: %s does not exist; %s, which leaves the rewards as they are", path, mend)
        return None
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise FgctlError(f"{path} is damaged ({reason}); restore it or {mend}.") from None
    if fitted.version != labels_version(fitted.heads, fitted.rewards):
        raise FgctlError(f"{path} was changed after it was fitted; restore it or {mend}.")
    if fitted.rewards != version:
        raise FgctlError(f"{path} was fitted for rewards {fitted.rewards}, not for {version}; {mend}.")
    return fitted


def save_labels(path: Path, fitted: FittedLabels) -> None:
    """Write `rewards.labels.json` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.write_text(fitted.model_dump_json(indent=1) + "\n", encoding="utf-8")
    scratch.replace(path)


def fit_label_head(x: Matrix, y: Sequence[str], features: Sequence[str], strength: float) -> LabelHead:
    """L2-regularised multinomial logistic regression of the labels `y` [N] on standardised `x` [N, features].

    `strength` is sklearn's C. A label that no row has is never named. Raises FgctlError without rows.
    """
    from sklearn.linear_model import LogisticRegression

    if len(y) == 0:
        raise FgctlError("No error of the category has a label; annotate more answers.")
    mean, scale = standardisation(x)
    names = tuple(sorted(set(y)))
    weight, intercept = np.zeros((len(names), len(features))), np.zeros(len(names))
    if len(names) > 1:
        model = LogisticRegression(C=strength, max_iter=2000).fit((x - mean) / scale, y)
        # Of two labels sklearn keeps the second one's log-odds alone.
        weight[-len(model.coef_) :], intercept[-len(model.coef_) :] = model.coef_, model.intercept_
    return LabelHead(
        labels=names, features=tuple(features), mean=tuple(mean), scale=tuple(scale),
        weight=tuple(tuple(row) for row in weight), intercept=tuple(intercept),
    )  # fmt: skip


def labels_version(heads: Mapping[Category, LabelHead], rewards: str) -> str:
    """The content version of label heads for rewards of that version: 12 hexadecimal digits."""
    content = json.dumps(
        [rewards, {name: head.model_dump(mode="json") for name, head in heads.items()}], sort_keys=True
    )
    return hashlib.sha256(content.encode()).hexdigest()[:12]
