"""Which policy a request asks for: a profile, one of its versions, or weights."""

from dataclasses import dataclass

from policies.weights import Weights


@dataclass(frozen=True)
class Selection:
    """A profile, perhaps at a version, or weights; the default profile where nothing is set."""

    profile: str | None = None
    version: str | None = None
    weights: Weights | None = None

    @property
    def model(self) -> str | None:
        """The name of a model on /v1 that asks for the same; None for the default profile."""
        if self.weights is not None:
            return f"weights:{self.weights}"
        return f"{self.profile}@{self.version}" if self.version else self.profile
