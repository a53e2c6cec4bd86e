"""Exact mixtures of trained policies: LoRA adapters whose update is the weighted sum of the policies' updates.

With anchors' updates `s_k B_k A_k` and shares `l_k`, the sum is one adapter with the stacked factors
`A = [A_1; ...; A_K]` and `B = [l_1 s_1 B_1 | ... | l_K s_K B_K]`, whose rank is the sum of the anchors' ranks.
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from policies.adapter import LoraAdapter
from policies.manifest import PolicyManifest
from policies.mixture_weights import barycentric
from policies.names import SFT
from policies.store import ADAPTER, ADAPTER_CONFIG, PolicyStore
from policies.weights import Weights
from rewards.errors import FgctlError

if TYPE_CHECKING:
    from torch import Tensor

MIXTURE = "mixture"
"""The profile that mixtures are stored for by default."""


@dataclass(frozen=True)
class Anchor:
    """A trained policy that mixtures are made of."""

    manifest: PolicyManifest
    path: Path

    @property
    def weights(self) -> Weights:
        """The weights it was trained for."""
        if self.manifest.weights is None:
            raise ValueError(f"{self.name} was trained without weights")
        return self.manifest.weights

    @property
    def name(self) -> str:
        """Its profile and version."""
        return f"{self.manifest.profile}@{self.manifest.version}"


@dataclass(frozen=True)
class Mixture:
    """The composition of a mixture."""

    served: Weights
    """The weights that the shares reach: the wanted ones, or the nearest within the anchors' hull."""
    shares: tuple[tuple[Anchor, float], ...]
    """Anchors with a share above zero, by version; the shares sum to one."""

    @property
    def anchor(self) -> Anchor | None:
        """The anchor, where there is only one: then nothing is mixed."""
        return self.shares[0][0] if len(self.shares) == 1 else None

    def key(self, rank: int | None) -> str:
        """A name of the mixture at a rank: the digest of its anchors, shares and rank, in hexadecimal digits."""
        digests = [anchor.manifest.digest or anchor.manifest.version for anchor, _ in self.shares]
        content = [rank, *((digest, round(share, 9)) for digest, (_, share) in zip(digests, self.shares, strict=True))]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True)
class Mixed:
    """A mixture's factors."""

    factors: "dict[str, tuple[Tensor, Tensor]]"
    """A, float32 [rank, in], and B, float32 [out, rank], by module; the update is B A."""
    rank: int
    tail_energy: float
    """Share of the update's squared norm that compression left out; 0 without compression."""


def anchors(store: PolicyStore, base_digest: str) -> tuple[Anchor, ...]:
    """The current version of every profile that was trained for weights on that base and is no mixture itself.

    Broken versions are left out. Raises BrokenPolicy when `profiles.toml` cannot be read.
    """
    usable = []
    for name, profile in store.profiles().items():
        if name == SFT:
            continue
        try:
            path, manifest = store.verify(name, profile.version), store.manifest(name, profile.version)
        except FgctlError:
            continue
        if manifest.weights and manifest.base.digest == base_digest and MIXTURE not in manifest.recipe:
            usable.append(Anchor(manifest, path))
    return tuple(usable)


def mixture_for(wanted: Weights, among: Sequence[Anchor]) -> Mixture:
    """The shares of the anchors that reach the wanted weights, or the nearest within their hull.

    The order of the anchors does not matter. Raises FgctlError without anchors.
    """
    if not among:
        raise FgctlError("There is no trained policy to mix; train and promote some with `fgctl train --promote`.")
    ordered = sorted(among, key=lambda anchor: anchor.manifest.version)
    categories = sorted({name for weights in (wanted, *(a.weights for a in ordered)) for name in weights.as_dict()})
    points = np.array([[anchor.weights[name] for name in categories] for anchor in ordered])
    shares = barycentric(points, np.array([wanted[name] for name in categories]))
    served = Weights(dict(zip(categories, (shares @ points).tolist(), strict=True)))
    return Mixture(served, tuple((a, float(share)) for a, share in zip(ordered, shares, strict=True) if share > 0))


def mix(parts: Sequence[tuple[LoraAdapter, float]], rank: int | None = None) -> Mixed:
    """The weighted sum of adapters' updates: exact, or the best approximation of a given rank.

    Raises FgctlError unless all of them change the same modules.
    """
    import torch

    modules = parts[0][0].modules
    for adapter, _ in parts:
        if adapter.modules != modules:
            raise FgctlError(
                f"{adapter.directory} and {parts[0][0].directory} change different modules; train both by the same "
                f"settings of lora."
            )
    factors, left_out, energy = {}, 0.0, 0.0
    for module in sorted(modules):
        pairs = [(adapter.factors(module), share * adapter.config.scale) for adapter, share in parts]
        down = torch.cat([a for (a, _), _ in pairs])
        up = torch.cat([factor * b for (_, b), factor in pairs], dim=1)
        if rank is not None and rank < len(down):
            down, up, squares = compress(down, up, rank)
            left_out += float(squares[rank:].sum())
            energy += float(squares.sum())
        factors[module] = (down, up)
    whole = sum(adapter.config.r for adapter, _ in parts)
    return Mixed(factors, whole if rank is None else min(rank, whole), left_out / energy if energy else 0.0)


def compress(down: "Tensor", up: "Tensor", rank: int) -> "tuple[Tensor, Tensor, Tensor]":
    """The best approximation of `up @ down` of a given rank, by the Frobenius norm (Eckart and Young 1936).

    `down` [R, in] and `up` [out, R], float32. Returns A [rank, in], B [out, rank] and the squares of all singular
    values [min(R, in, out)]. The singular values are those of the small core between the factors'
    QR decompositions.
    """
    import torch

    left, of_up = torch.linalg.qr(up)
    right, of_down = torch.linalg.qr(down.T)
    u, values, v = torch.linalg.svd(of_up @ of_down.T, full_matrices=False)
    root = values[:rank].sqrt()
    missing = rank - len(root)  # where a module is smaller than the rank
    small_down, small_up = (root[:, None] * v[:rank]) @ right.T, left @ (u[:, :rank] * root)
    pad = torch.nn.functional.pad
    return pad(small_down, (0, 0, 0, missing)), pad(small_up, (0, missing)), values.square()


def store_mixture(
    store: PolicyStore, mixture: Mixture, rank: int | None = None, profile: str = MIXTURE
) -> PolicyManifest:
    """Compute a mixture and store its adapter, compressed to `rank` unless that is None.

    The tensors are computed in float32 and cast once, to bfloat16. Raises FgctlError when the anchors change different
    modules.
    """
    mixed = mix([(LoraAdapter(anchor.path), share) for anchor, share in mixture.shares], rank)
    manifests = [anchor.manifest for anchor, _ in mixture.shares]
    with tempfile.TemporaryDirectory() as scratch:
        write_adapter(Path(scratch), mixed, mixture.shares[0][0].path)
        return store.write(profile, Path(scratch), _manifest(mixture, mixed, manifests))


def write_adapter(directory: Path, mixed: Mixed, source: Path) -> None:
    """Write a mixture as PEFT writes an adapter, with the configuration of one of its anchors, `source`."""
    import torch
    from safetensors.torch import save_file

    config = json.loads((source / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    config |= {"r": mixed.rank, "lora_alpha": mixed.rank, "use_rslora": False}
    tensors = {
        f"{module}.{name}.weight": factor.to(torch.bfloat16).contiguous()
        for module, pair in mixed.factors.items()
        for name, factor in zip(("lora_A", "lora_B"), pair, strict=True)
    }
    save_file(tensors, directory / ADAPTER)
    (directory / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _manifest(mixture: Mixture, mixed: Mixed, manifests: Sequence[PolicyManifest]) -> dict[str, Any]:
    """The fields of a mixture's manifest; parent and rewards where all anchors have the same."""
    parents = {m.parent for m in manifests}
    rewards = {m.rewards.digest if m.rewards else None: m.rewards for m in manifests}
    return {
        "weights": mixture.served,
        "base": manifests[0].base,
        "parent": parents.pop() if len(parents) == 1 else None,
        "recipe": {
            MIXTURE: {
                "anchors": [
                    {"profile": a.manifest.profile, "version": a.manifest.version, "share": share}
                    for a, share in mixture.shares
                ],
                "rank": mixed.rank,
                "tail_energy": mixed.tail_energy,
            }
        },
        "data": tuple({data.digest: data for m in manifests for data in m.data}.values()),
        "rewards": manifests[0].rewards if len(rewards) == 1 else None,
        "steps": 0,
        "episodes": 0,
        "scores": {},
    }
