"""Reward models of configured categories, by the `type` in the configuration.

classifiers.py    `text-classification` and `token-classification`: transformers models
http.py           `http`: an endpoint
entry_points.py   `entry-point`: a class or function of an installed package
"""

from rewards.categories import Category
from rewards.configuration import EntryPoint, ExtraCategory, Http, TextClassification
from rewards.protocol import RewardModel


def load_model(category: Category, config: ExtraCategory) -> RewardModel:
    """Load the reward model of a configured category. Raises FgctlError when it cannot be loaded."""
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
