"""The model whose perplexity says how fluent continuations are."""

from policies.base import BaseModel
from policies.errors import OtherBase
from policies.store import SFT, PolicyStore
from policies.trunk import merged, trunk_of


def fluency_model(base: BaseModel, store: PolicyStore) -> BaseModel:
    """The base with the supervised parent merged into it, which is not what continuing policies start from.

    The base itself where the store has no parent of it. Raises BrokenPolicy for a parent that cannot be used.
    """
    profiles = store.profiles()
    if SFT not in profiles:
        return trunk_of(base, store)
    try:
        return merged(base, store, profiles[SFT].version)
    except OtherBase:
        return base
