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

from policies.adapters.configuration import BASE_LOADED_FROM
from policies.adapters.lora import LoraAdapter, base_name
from policies.manifest import PolicyManifest
from policies.mixture_weights import barycentric
from policies.names import SFT
from policies.store import ADAPTER, ADAPTER_CONFIG, PolicyStore
from policies.weights import Weights
from rewards.categories import Category
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

    @property
    def parent(self) -> str | None:
        """The version of the supervised parent that it was trained from; None for the base."""
        return self.manifest.parent.version if self.manifest.parent else None

    @property
    def origin(self) -> str:
        """What it was trained from, for messages."""
        return f"{SFT}@{self.parent}" if self.parent else "the base"


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
    """The current version of every profile, as far as it can be used, is of that base and `is_anchor`.

    Raises BrokenPolicy when `profiles.toml` cannot be read.
    """
    usable = []
    for name, profile in store.profiles().items():
        if name == SFT:
            continue
        try:
            path, manifest = store.usable(name, profile.version), store.manifest(name, profile.version)
        except FgctlError:
            continue
        if manifest.base.digest == base_digest and is_anchor(manifest):
            usable.append(Anchor(manifest, path))
    return tuple(usable)


def is_anchor(manifest: PolicyManifest) -> bool:
    """Whether mixtures are made of a policy: it was trained for weights, and is no mixture itself."""
    return manifest.weights is not None and MIXTURE not in manifest.recipe


def mixture_for(wanted: Weights, among: Sequence[Anchor]) -> Mixture:
    """The shares of the anchors that reach the wanted weights, or the nearest within their hull.

    Only anchors that share a parent are mixed: the update of another would undo a part of the parent. The order of the
    anchors does not matter. Raises FgctlError without anchors, and when it takes several parents to give weight to all
    categories that are wanted.
    """
    if not among:
        raise FgctlError("There is no trained policy to mix; train and promote some with `fgctl train --promote`.")
    families = _families(among)
    able = [family for family in families if not _missing(wanted, family)]
    if not able and not _missing(wanted, among):
        raise FgctlError(_several_parents(wanted, families))
    mixtures = [_nearest(wanted, family) for family in able or families]
    return min(mixtures, key=lambda mixture: round(_distance(mixture.served, wanted), 6))


def _families(among: Sequence[Anchor]) -> list[list[Anchor]]:
    """The anchors by parent, the largest family first; in each by version."""
    families: dict[str | None, list[Anchor]] = {}
    for anchor in sorted(among, key=lambda anchor: anchor.manifest.version):
        families.setdefault(anchor.parent, []).append(anchor)
    return sorted(families.values(), key=lambda family: -len(family))


def _missing(wanted: Weights, among: Sequence[Anchor]) -> list[Category]:
    """The wanted categories that none of the anchors gives any weight to."""
    return [name for name, weight in wanted.as_dict().items() if weight > 0 and not any(a.weights[name] for a in among)]


def _several_parents(wanted: Weights, families: Sequence[Sequence[Anchor]]) -> str:
    origins = [f"{', '.join(a.manifest.profile for a in family)} from {family[0].origin}" for family in families]
    return (
        f"Only policies that share a parent can be mixed, and no parent has policies for all of {wanted} "
        f"(trained: {'; '.join(origins)}); ask for a profile, or for weights of policies of one parent."
    )


def _distance(a: Weights, b: Weights) -> float:
    return float(sum((a[name] - b[name]) ** 2 for name in {**a.as_dict(), **b.as_dict()}))


def _nearest(wanted: Weights, ordered: Sequence[Anchor]) -> Mixture:
    """The mixture of anchors of one parent, in order of their versions."""
    categories = sorted({name for weights in (wanted, *(a.weights for a in ordered)) for name in weights.as_dict()})
    points = np.array([[anchor.weights[name] for name in categories] for anchor in ordered])
    shares = barycentric(points, np.array([wanted[name] for name in categories]))
    served = Weights(dict(zip(categories, (shares @ points).tolist(), strict=True)))
    return Mixture(served, tuple((a, float(share)) for a, share in zip(ordered, shares, strict=True) if share > 0))


def mix(parts: Sequence[tuple[LoraAdapter, float]], rank: int | None = None) -> Mixed:
    """The weighted sum of adapters' updates: exact, or the best approximation of a given rank.

    An adapter that leaves a module alone adds nothing to it. Raises FgctlError for adapters of different bases.
    """
    import torch

    modules = sorted(frozenset[str]().union(*(adapter.modules for adapter, _ in parts)))
    stacked = {}
    for module in modules:
        pairs = [
            (adapter.factors(module), share * adapter.scale(module))
            for adapter, share in parts
            if module in adapter.modules
        ]
        if len({(down.shape[1], up.shape[0]) for (down, up), _ in pairs}) > 1:
            names = " and ".join(adapter.name for adapter, _ in parts)
            raise FgctlError(f"{names} have different shapes of {base_name(module)}; mix policies of one base.")
        down = torch.cat([a for (a, _), _ in pairs])
        up = torch.cat([factor * b for (_, b), factor in pairs], dim=1)
        stacked[module] = (down, up)
    whole = max(len(down) for down, _ in stacked.values())
    kept = whole if rank is None else min(rank, whole)
    factors, left_out, energy = {}, 0.0, 0.0
    for module, (down, up) in stacked.items():
        if len(down) > kept:
            *pair, squares = compress(down, up, kept)
            left_out += float(squares[kept:].sum())
            energy += float(squares.sum())
            factors[module] = pair[0], pair[1]
            continue
        if rank is not None:
            energy += float(((up.T @ up) * (down @ down.T)).sum())  # of up @ down, without computing it
        factors[module] = _padded(down, up, kept)
    return Mixed(factors, kept, left_out / energy if energy else 0.0)


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
    small_down, small_up = (root[:, None] * v[:rank]) @ right.T, left @ (u[:, :rank] * root)
    return *_padded(small_down, small_up, rank), values.square()  # a module may be smaller than the rank


def _padded(down: "Tensor", up: "Tensor", rank: int) -> "tuple[Tensor, Tensor]":
    """The same update at a rank that is no lower."""
    from torch.nn.functional import pad

    missing = rank - len(down)
    return pad(down, (0, 0, 0, missing)), pad(up, (0, missing))


def store_mixture(
    store: PolicyStore, mixture: Mixture, rank: int | None = None, profile: str = MIXTURE
) -> PolicyManifest:
    """Compute a mixture and store its adapter, compressed to `rank` unless that is None.

    The tensors are computed in float32 and cast once, to bfloat16. Raises FgctlError for anchors of different bases or
    parents.
    """
    manifests = [anchor.manifest for anchor, _ in mixture.shares]
    first = mixture.shares[0][0]
    for anchor, _ in mixture.shares:
        if anchor.manifest.base.digest != first.manifest.base.digest:
            raise FgctlError(
                f"{first.name} was trained on {first.manifest.base.name!r} and {anchor.name} on "
                f"{anchor.manifest.base.name!r}; mix policies of one base."
            )
        if anchor.parent != first.parent:
            raise FgctlError(
                f"{first.name} was trained from {first.origin} and {anchor.name} from {anchor.origin}; mix policies of "
                f"one parent."
            )
    adapters = [(LoraAdapter(anchor.path), share) for anchor, share in mixture.shares]
    mixed = mix(adapters, rank)
    with tempfile.TemporaryDirectory() as scratch:
        write_adapter(Path(scratch), mixed, adapters[0][0].config.base_model_name_or_path)
        return store.write(profile, Path(scratch), _manifest(mixture, mixed, manifests))


def write_adapter(directory: Path, mixed: Mixed, base_loaded_from: str | None = None) -> None:
    """Write a mixture as PEFT writes an adapter: one rank, scale 1, and its modules by their whole names."""
    import torch
    from safetensors.torch import save_file

    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "inference_mode": True,
        "r": mixed.rank,
        "lora_alpha": mixed.rank,
        "target_modules": sorted(base_name(module) for module in mixed.factors),
        "bias": "none",
    }
    if base_loaded_from is not None:
        config[BASE_LOADED_FROM] = base_loaded_from
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
