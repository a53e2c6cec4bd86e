"""The policy store: immutable versions of adapters in directories, and which version each profile serves.

    <store>/<profile>/<version>/{adapter_model.safetensors, adapter_config.json, policy.json, README.md}
    <store>/profiles.toml
    <store>/promotions.jsonl

Its modules:

    policy_store.py  PolicyStore: promotions, rollbacks and canaries
    versions.py      the version directories: write, read, verify
    profiles.py      profiles.toml
    ledger.py        promotions.jsonl
    location.py      where the store is; it opens in its former place, too
    replace_file.py  put a file in another's place in one step
    origin.py        a store behind a URL, and its mirror on this machine
    objects.py       objects in a bucket, replaced only where nobody else was first
    hub_objects.py   the same for a repository of the Hugging Face hub
    copying.py       versions from one store to another, verified
"""

from policies.adapters.configuration import ADAPTER_CONFIG
from policies.adapters.lora import ADAPTER
from policies.errors import BrokenPolicy
from policies.names import SFT
from policies.store.location import SHIPPED
from policies.store.policy_store import PolicyStore
from policies.store.profiles import PROFILES, CanaryShare, Decoding, Profile
from policies.store.versions import MANIFEST

__all__ = [
    "ADAPTER",
    "ADAPTER_CONFIG",
    "MANIFEST",
    "PROFILES",
    "SFT",
    "SHIPPED",
    "BrokenPolicy",
    "CanaryShare",
    "Decoding",
    "PolicyStore",
    "Profile",
]
