"""Reward models made from what users already have: transformers classifiers, HTTP endpoints, installed packages."""

from rewards.categories import Category
from rewards.configuration import EntryPoint, ExtraCategory, Http, TextClassification
from rewards.protocol import RewardModel


def load_model(category: Category, config: ExtraCategory) -> RewardModel:
    """The reward model of a configured category. Raises FgctlError when it cannot be loaded."""
    if isinstance(config, Http):
        from rewards.adapters.http import HttpRewards

        return HttpRewards(category, config)
    if isinstance(config, EntryPoint):
        from rewards.adapters.entry_points import load_entry_point

        return load_entry_point(category, config)
    from rewards.adapters.classifiers import TextClassifier, TokenClassifier

    return (
        TextClassifier(category, config)
        if isinstance(config, TextClassification)
        else TokenClassifier(category, config)
    )
