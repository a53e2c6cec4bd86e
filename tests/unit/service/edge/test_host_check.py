"""A service that asks for no key answers only requests for its own machine."""

import httpx
import pytest

from service.app import create_app
from service.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def client():
    """Sends requests to a service that only this machine can reach; nothing has started behind it."""
    app = create_app(Settings(hosts="answers.example, Other.Example"), this_machine_only=True)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.1.2.3", "[::1]:8000", "[::1]", "app.localhost", "localhost.",
     "answers.example", "other.example:443"],
)  # fmt: skip
async def test_requests_for_this_machine_are_answered(client, host):
    assert (await client.get("/livez", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example:8000", "192.168.1.7", "localhost.evil.example", "127.0.0.1.evil.example", "[2001:db8::1]", ""],
)
async def test_requests_for_other_hosts_are_refused(client, host):
    for path in ("/livez", "/metrics", "/responses/x"):
        reply = await client.get(path, headers={"host": host})
        assert (reply.status_code, reply.json()["error"]["type"]) == (403, "forbidden")
        assert "FGCTL_HOSTS" in reply.json()["error"]["message"]


async def test_a_service_that_others_may_reach_checks_no_host():
    app = create_app(Settings())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://anything.example") as client:
        assert (await client.get("/livez")).status_code == 200
