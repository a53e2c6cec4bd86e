"""Reward models that installed packages declare as entry points."""

import inspect
from importlib import metadata

from rewards.categories import Category
from rewards.configuration import EntryPoint
from rewards.errors import FgctlError
from rewards.protocol import RewardModel

GROUP = "fgctl.reward_models"
"""The group of entry points."""


def load_entry_point(category: Category, config: EntryPoint) -> RewardModel:
    """Call the class or function that the entry point names, with the configured options.

    Raises FgctlError when there is no such entry point, when it cannot be imported or does not accept the options, or
    when it returns something other than a RewardModel.
    """
    declared = {point.name: point for point in metadata.entry_points(group=GROUP)}
    if config.name not in declared:
        raise FgctlError(
            f"Category {category}: no installed package declares {config.name!r} in the entry points {GROUP} "
            f"(declared: {', '.join(sorted(declared)) or 'none'}); install its package or fix the name."
        )
    point = declared[config.name]
    try:
        factory = point.load()
    except (ImportError, AttributeError) as error:
        raise FgctlError(
            f"Category {category}: entry point {point.value!r} cannot be imported ({error}); fix its package."
        ) from error
    try:
        inspect.signature(factory).bind(**config.options)
    except TypeError as error:
        raise FgctlError(f"Category {category}: {point.value} does not accept these options: {error}.") from None
    model = factory(**config.options)
    if not isinstance(model, RewardModel):
        raise FgctlError(f"Category {category}: {point.value} returns no RewardModel; give it a method `score`.")
    return model
