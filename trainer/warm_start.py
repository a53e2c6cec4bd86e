"""The policy that a run goes on from, where that is not the parent: one on the same parent, for other weights."""

from dataclasses import dataclass
from pathlib import Path

from policies.base import BaseModel
from policies.names import SFT
from policies.store import PolicyStore
from policies.trunk import policy_files
from rewards.errors import FgctlError
from trainer.policy_model import PolicyModel
from trainer.tasks.task import Origin


@dataclass(frozen=True)
class WarmStart:
    """A stored policy whose adapter a new one begins as. The reference of its KL penalty stays the parent."""

    profile: str
    version: str
    adapter: Path

    @property
    def name(self) -> str:
        """`profile@version`, as policy.json and messages have it."""
        return f"{self.profile}@{self.version}"

    def load_into(self, model: PolicyModel) -> None:
        """Give a new policy the weights. Raises FgctlError when its adapter has another shape."""
        if difference := model.load_policy(self.adapter):
            raise FgctlError(
                f"{self.name} cannot be started from: {difference}. Set the recipe's lora.… as in its policy.json."
            )


def warm_start(name: str, store: PolicyStore, base: BaseModel, origin: Origin) -> WarmStart:
    """The policy of that name: `NAME` for a profile's current version, or `NAME@VERSION`.

    Raises FgctlError when it is missing or broken, or was trained from another parent than the run's, `origin`.
    """
    profile, _, version = name.partition("@")
    version = version or store.profile(profile).version
    if profile == SFT:
        raise FgctlError(f"A run starts from the parent without --start-from; {name} is a parent.")
    files, parent = policy_files(base, store, profile, version), store.manifest(profile, version).parent
    if parent != origin.parent or files.model.digest != origin.files.model.digest or files.adapter is None:
        current = "the base alone" if origin.parent is None else f"{SFT}@{origin.parent.version}"
        its = "the base alone" if parent is None else f"{SFT}@{parent.version}"
        raise FgctlError(
            f"{profile}@{version} was trained from {its}, and this run's parent is {current}; start from a policy of "
            f"that parent."
        )
    return WarmStart(profile, version, files.adapter)
