"""Adapters over HTTP, for engines elsewhere."""

import pytest

from policies.mixing import MIXTURE
from policies.store import ADAPTER, ADAPTER_CONFIG
from service.domain.caller import Limits
from service.edge.keys import KeyFile

pytestmark = pytest.mark.anyio


async def test_the_files_of_stored_versions_and_of_mixtures_made_here_are_sent(service, write_policy):
    version = write_policy(service.store).version
    mixture = write_policy(service.resolver._mixtures._store, MIXTURE, seed=3).version
    for profile, number, store in (
        ("medium", version, service.store), (MIXTURE, mixture, service.resolver._mixtures._store),
    ):  # fmt: skip
        for file in (ADAPTER, ADAPTER_CONFIG):
            reply = await service.client.get(f"/policies/{profile}/{number}/{file}")
            assert reply.status_code == 200
            assert reply.content == (store.path(profile, number) / file).read_bytes()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("medium/ffffffffffff/adapter_model.safetensors", 404),
        ("mixture/ffffffffffff/adapter_config.json", 404),
        ("Medium/x/adapter_config.json", 404),
        ("medium/VERSION/policy.json", 422),
        ("medium/VERSION/..%2F..%2Fprofiles.toml", 404),
    ],
)
async def test_nothing_else_is_sent(service, write_policy, path, status):
    version = write_policy(service.store).version
    reply = await service.client.get(f"/policies/{path.replace('VERSION', version)}")
    assert (reply.status_code, set(reply.json())) == (status, {"error"})


async def test_they_need_a_key_of_scope_admin(serve, tmp_path, write_policy):
    file = KeyFile(tmp_path / "keys.toml")
    keys = {scope: file.add(scope, [scope], Limits())[1] for scope in ("generate", "admin")}
    service = serve(keys=file.path)
    path = f"/policies/medium/{write_policy(service.store).version}/{ADAPTER_CONFIG}"
    statuses = {
        scope: (await service.client.get(path, headers={"authorization": f"Bearer {key}"})).status_code
        for scope, key in keys.items()
    }
    assert statuses == {"generate": 403, "admin": 200}
    assert (await service.client.get(path)).status_code == 401
