"""vLLM's plugin: adapters by name, from a store, a service over HTTP, or a directory, and only what the name says."""

import asyncio
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest

from policies.store import ADAPTER, PolicyStore
from rewards.errors import FgctlError
from service.engine.remote import lora_resolver
from service.engine.remote.lora_resolver import SOURCES, AdapterSources


class _Quiet(SimpleHTTPRequestHandler):
    asked: ClassVar = []

    def do_GET(self):
        self.asked.append((self.path, self.headers.get("authorization")))
        super().do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("FGCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FGCTL_API_KEY", "fg_secret")
    return PolicyStore(tmp_path / "policies")


@pytest.fixture
def service(store):
    """A service's adapters over HTTP."""
    _Quiet.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=store.root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_adapter_is_fetched_by_its_name_once_and_kept(store, service, write_policy, tmp_path):
    version = write_policy(store).version
    for _ in range(2):  # the second time, as after a restart, from the cache
        directory = AdapterSources([service]).find(f"medium@{version}")
        assert directory.is_relative_to(tmp_path / "cache")
        assert (directory / ADAPTER).read_bytes() == (store.path("medium", version) / ADAPTER).read_bytes()
    paths = [f"/medium/{version}/{name}" for name in ("adapter_config.json", ADAPTER)]
    assert _Quiet.asked == [(path, "Bearer fg_secret") for path in paths]


def test_an_adapter_that_is_not_what_its_name_says_is_not_loaded(store, service, write_policy):
    version, other = write_policy(store).version, write_policy(store, seed=1).version
    file = store.path("medium", version) / ADAPTER
    file.write_bytes((store.path("medium", other) / ADAPTER).read_bytes())
    assert AdapterSources([service, str(store.root)]).find(f"medium@{version}") is None


def test_every_replica_behind_a_name_is_asked(store, service, write_policy, monkeypatch):
    version, port = write_policy(store).version, int(service.rpartition(":")[2])
    addresses = [(None, None, None, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *arguments, **named: addresses)
    assert AdapterSources([f"http://replicas:{port}"]).find(f"medium@{version}") is not None
    assert [path for path, _ in _Quiet.asked][:1] == [f"/medium/{version}/adapter_config.json"]


@pytest.mark.parametrize("name", ["medium", "medium@", "@0123456789ab", "../x@0123456789ab", "medium@01", "a/b@c@d"])
def test_a_name_that_is_no_profile_and_version_is_not_looked_for(store, service, name):
    assert AdapterSources([service]).find(name) is None
    assert _Quiet.asked == []


def test_the_next_place_is_asked_where_one_lacks_it_or_is_away(store, write_policy):
    version = write_policy(store).version
    sources = AdapterSources(["http://127.0.0.1:1", str(store.root)])
    assert sources.find(f"medium@{version}") == store.path("medium", version)
    with pytest.raises(FgctlError, match="cannot be used"):
        AdapterSources(["ftp://nowhere"])


def test_vllm_finds_the_resolver_by_the_packages_entry_point(store, write_policy, monkeypatch):
    from vllm.lora.resolver import LoRAResolverRegistry

    monkeypatch.setattr(LoRAResolverRegistry, "resolvers", {})
    lora_resolver.register()
    assert not LoRAResolverRegistry.get_supported_resolvers()
    monkeypatch.setenv(SOURCES, f" {store.root} ,")
    entry = "service.engine.remote.lora_resolver:register"
    EntryPoint("fgctl_lora_resolver", entry, "vllm.general_plugins").load()()
    resolver = LoRAResolverRegistry.get_resolver("fgctl")
    version = write_policy(store).version
    request = asyncio.run(resolver.resolve_lora("base", f"medium@{version}"))
    assert (request.lora_name, request.lora_path) == (f"medium@{version}", str(store.path("medium", version)))
    assert asyncio.run(resolver.resolve_lora("base", "medium@ffffffffffff")) is None
