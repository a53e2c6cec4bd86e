"""vLLM plugin for servers elsewhere: an adapter is found by its name, `profile@version`, when it is first asked for.

FGCTL_ADAPTERS_FROM says where, with commas between the places: directories and URLs of policy stores, and services
(`http://fgctl:8000/policies`), which also have mixtures. What is fetched is kept in the cache, under its digest. vLLM
asks resolvers where VLLM_ALLOW_RUNTIME_LORA_UPDATING is 1.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from policies.adapters.digest import digest_of
from policies.names import is_name
from policies.store.location import locate
from policies.store.origin import Origin
from rewards.errors import FgctlError

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest

logger = logging.getLogger(__name__)
SOURCES = "FGCTL_ADAPTERS_FROM"
_DIGITS = 12
"""Digits of a digest that a version has at least."""


class AdapterSources:
    """Places where adapters are looked for, in their order."""

    def __init__(self, places: Sequence[str]) -> None:
        """Raises FgctlError for a URL that names no store."""
        self._places = [locate(place) for place in places]
        self._origins = {place.url: Origin(place.url, place.root) for place in self._places if place.url}

    def find(self, name: str) -> Path | None:
        """The directory of the adapter `profile@version`, whose content is what its name says; None without one."""
        profile, _, version = name.partition("@")
        if not is_name(profile) or not is_name(version) or len(version) < _DIGITS:
            return None
        for place in self._places:
            directory = place.root / profile / version
            if not _is(directory, version) and place.url:
                self._fetch(place.url, place.root, profile, version)
            if _is(directory, version):
                return directory
        return None

    def _fetch(self, url: str, mirror: Path, profile: str, version: str) -> None:
        """Fetch an adapter from the first address behind a URL that has it."""
        for address in _addresses(url):
            try:
                origin = self._origins.setdefault(address, Origin(address, mirror))
                origin.fetch(profile, version, None)
            except FgctlError as error:
                logger.warning("%s", error)
            else:
                return


def _addresses(url: str) -> list[str]:
    """The URLs to ask: of replicas that share a name, as behind a headless service, each one's, as each has its own
    mixtures.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        return [url]
    try:
        resolved = socket.getaddrinfo(parts.hostname, parts.port or 80, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except OSError:
        return [url]
    hosts = sorted({str(address[0]) for *_, address in resolved})
    return [parts._replace(netloc=f"{host}:{parts.port or 80}").geturl() for host in hosts]


def _is(directory: Path, version: str) -> bool:
    return (digest_of(directory) or "").startswith(version)


def register() -> None:
    """Register the resolver if this server is told where to look; vLLM calls this in each of its processes."""
    places = [place.strip() for place in os.environ.get(SOURCES, "").split(",") if place.strip()]
    if not places:
        return
    from vllm.lora.request import LoRARequest
    from vllm.lora.resolver import LoRAResolver, LoRAResolverRegistry

    sources = AdapterSources(places)

    class StoreResolver(LoRAResolver):
        async def resolve_lora(self, base_model_name: str, lora_name: str) -> "LoRARequest | None":
            directory = await asyncio.to_thread(sources.find, lora_name)
            if directory is None:
                return None
            # vLLM puts an id of its own in the place of this one.
            return LoRARequest(lora_name=lora_name, lora_int_id=1, lora_path=str(directory))

    LoRAResolverRegistry.register_resolver("fgctl", StoreResolver())
