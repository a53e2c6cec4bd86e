"""Which annotation label an error most likely has: a small multinomial head for each category.

The heads have a file and a version of their own, beside the rewards. They change no score and no reward, so refitting
them does not change the version of the rewards, which policies record as what trained them.
"""

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
from rewards.heads.stored_json import content_version, nine_digits, write_in_one_step

logger = logging.getLogger(__name__)
Matrix = NDArray[np.float64]


class LabelHead(BaseModel):
    """For each label, `intercept + sum_i weight_i * (x_i - mean_i) / scale_i`: log-odds up to a common term."""

    model_config = ConfigDict(frozen=True)

    labels: tuple[str, ...]
    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weight: tuple[tuple[float, ...], ...]
    """One row for each label."""
    intercept: tuple[float, ...]

    @model_validator(mode="after")
    def _same_lengths(self) -> "LabelHead":
        if not len(self.labels) == len(self.weight) == len(self.intercept) > 0:
            raise ValueError("labels, weight and intercept differ in length")
        if any(len(row) != len(self.features) for row in (self.mean, self.scale, *self.weight)):
            raise ValueError("features, mean, scale and weight differ in length")
        return self

    def most_likely(self, x: Matrix) -> list[str]:
        """The most likely label of each error: float64 [errors, features] to [errors]."""
        standardised = (x - np.asarray(self.mean)) / np.asarray(self.scale)
        logits = standardised @ np.asarray(self.weight).T + np.asarray(self.intercept)
        return [self.labels[i] for i in logits.argmax(axis=1)]


class FittedLabels(BaseModel):
    """`rewards.labels.json`: the heads, the rewards they belong to, and how well they agree with people."""

    model_config = ConfigDict(frozen=True)

    version: str
    rewards: str
    """Version of the fitted rewards whose errors they label."""
    heads: dict[Category, LabelHead]
    """Only categories whose labels are worth showing (rewards.statistics.agreement_with_people.label_agreement)."""
    data: dict[str, str]
    """Name and SHA-256 of the feedback."""
    agreement: dict[Category, Any]
    """Cross-validated agreement with people on that feedback, for every category (rewards.fitting.fit_label_heads)."""
    created: datetime
    fgctl: str


def labels_path(rewards: Path) -> Path:
    """The file of label heads for a file of fitted rewards: `rewards.labels.json` beside `rewards.json`."""
    return rewards.with_suffix(".labels.json")


def assemble_labels(
    heads: Mapping[Category, LabelHead], rewards: str, *, data: dict[str, str], agreement: dict[Category, Any]
) -> FittedLabels:
    """Fitted heads with their metadata, for rewards of that version. Weights are rounded to nine digits."""
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
    """Load the label heads beside a file of fitted rewards of that version; None if there is no such file.

    Without it the rewards score as usual, and errors have no label. Raises FgctlError when the label heads are damaged
    or were fitted for other rewards.
    """
    path = labels_path(rewards)
    advice = f"run `fgctl rewards fit --only-labels --out {rewards}`"
    try:
        fitted = FittedLabels.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        logger.warning("errors get no labels: %s does not exist; %s, which does not change the rewards", path, advice)
        return None
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise FgctlError(f"{path} is damaged ({reason}); restore it or {advice}.") from None
    if fitted.version != labels_version(fitted.heads, fitted.rewards):
        raise FgctlError(f"{path} was changed after it was fitted; restore it or {advice}.")
    if fitted.rewards != version:
        raise FgctlError(f"{path} was fitted for rewards {fitted.rewards}, not for {version}; {advice}.")
    return fitted


def save_labels(path: Path, fitted: FittedLabels) -> None:
    """Write `rewards.labels.json` in one step."""
    write_in_one_step(path, fitted.model_dump_json(indent=1) + "\n")


def fit_label_head(x: Matrix, y: Sequence[str], features: Sequence[str], strength: float) -> LabelHead:
    """L2-regularised multinomial logistic regression of the labels `y` [N] on standardised `x` [N, features].

    `strength` is sklearn's C. A label that no row has is never predicted. Raises FgctlError without rows.
    """
    from sklearn.linear_model import LogisticRegression

    if len(y) == 0:
        raise FgctlError("No error of the category has a label; annotate more answers.")
    mean, scale = standardisation(x)
    names = tuple(sorted(set(y)))
    weight, intercept = np.zeros((len(names), len(features))), np.zeros(len(names))
    if len(names) > 1:
        model = LogisticRegression(C=strength, max_iter=2000).fit((x - mean) / scale, y)
        # For two labels sklearn stores only the log-odds of the second.
        weight[-len(model.coef_) :], intercept[-len(model.coef_) :] = model.coef_, model.intercept_
    return LabelHead(
        labels=names, features=tuple(features), mean=tuple(mean), scale=tuple(scale),
        weight=tuple(tuple(row) for row in weight), intercept=tuple(intercept),
    )  # fmt: skip


def labels_version(heads: Mapping[Category, LabelHead], rewards: str) -> str:
    """The content version of label heads for rewards of that version: 12 hexadecimal digits."""
    return content_version([rewards, {name: head.model_dump(mode="json") for name, head in heads.items()}])
