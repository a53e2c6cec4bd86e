"""Who may do what: scopes by path, keys in headers, and callers without keys."""

import re

import httpx
import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from rewards.errors import FgctlError
from service.domain.caller import SCOPES, Limits
from service.edge.keys import KeyFile
from service.edge.route_scope import declared_scope, needed_scope

pytestmark = pytest.mark.anyio
QUESTION = {"question": "Where?"}


@pytest.fixture
def keys(tmp_path):
    """A file with a key for each scope; the keys and their ids by scope."""
    file = KeyFile(tmp_path / "keys.toml")
    added = {scope: file.add(scope, [scope], Limits()) for scope in SCOPES}
    ids = {scope: key_id for scope, (key_id, _) in added.items()}
    secrets = {scope: secret for scope, (_, secret) in added.items()}
    return file.path, secrets, ids


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/generate", "generate"),
        ("POST", "/v1/chat/completions", "generate"),
        ("GET", "/profiles", "generate"),
        ("GET", "/responses/x", "generate"),
        ("POST", "/admin/reload", "admin"),
        ("GET", "/admin/reload", "admin"),
        ("POST", "/annotation/next", "feedback"),
        ("POST", "/responses/x/feedback", "feedback"),
        ("GET", "/responses/feedback", "generate"),
        ("GET", "/responses/x/y/feedback", "generate"),
        ("GET", "/agreement/tables", "feedback"),
        ("GET", "/annotations", "generate"),
        ("GET", "/anything/new", "generate"),
        ("GET", "/metrics", "metrics"),
        ("GET", "/livez", None),
        ("GET", "/readyz", None),
        ("GET", "/livez/", "generate"),
        ("GET", "/", None),
        ("GET", "/annotate", None),
        ("GET", "/static/playground.js", None),
        ("GET", "/docs", None),
        ("GET", "/openapi.json", None),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/behind/a/proxy"])
def test_which_scope_a_request_needs(starting, root_path, method, path, scope):
    request = {"type": "http", "method": method, "path": root_path + path, "root_path": root_path}
    assert needed_scope(starting.app.routes, request) == scope


def test_every_route_declares_its_scope(starting):
    for route in starting.app.routes:
        if route.path != "/openapi.json":
            assert hasattr(getattr(route, "endpoint", None) or route.app, "__needed_scope__"), route.path


async def test_metrics_are_public_or_require_their_own_scope(serve, keys):
    assert (await serve(keys=keys[0]).client.get("/metrics")).status_code == 200
    closed = serve(keys=keys[0], metrics_open=False).client
    assert (await closed.get("/metrics")).status_code == 401
    assert (await closed.get("/metrics", headers={"x-api-key": keys[1]["generate"]})).status_code == 403
    assert (await closed.get("/metrics", headers={"x-api-key": keys[1]["metrics"]})).status_code == 200


async def test_every_route_answers_only_keys_of_its_scope(serve, keys):
    path, secrets, _ = keys
    service = serve(keys=path, metrics_open=False)
    asked = set()
    for route in service.app.routes:
        url = re.sub(r"{\w+}", "x", route.path) + ("/style.css" if route.path == "/static" else "")
        needed = declared_scope(route)
        for method in sorted(getattr(route, "methods", None) or {"GET"}):
            asked.add((method, url, needed))
            for scope in SCOPES:
                for suffix in ("", "?x=%0A", "#/livez"):
                    reply = await service.client.request(method, url + suffix, headers={"x-api-key": secrets[scope]})
                    allowed = needed is None or needed == scope
                    assert (reply.status_code not in (401, 403)) == allowed, (method, url, scope)
                if needed is not None:
                    odd = await service.client.request(method, f"{url}%0A", headers={"x-api-key": secrets[scope]})
                    assert odd.status_code == 400
            status = (await service.client.request(method, url)).status_code
            assert (status == 401) == (needed is not None), (method, url)
    assert {needed for _, _, needed in asked} == {None, *SCOPES}
    assert len(asked) > 25


async def test_a_missing_or_unknown_key_is_answered_by_401(serve, keys):
    service = serve(keys=keys[0])
    for headers in (
        {},
        {"authorization": "Bearer fg_wrong"},
        {"authorization": "Basic Zm86YmFy"},
        {"authorization": "Bearer "},
        {"x-api-key": "fg_wrong"},
    ):
        reply = await service.client.post("/generate", json=QUESTION, headers=headers)
        assert (reply.status_code, reply.json()["error"]["type"]) == (401, "unauthenticated")
        assert reply.headers["www-authenticate"] == "Bearer"
        assert reply.headers["x-request-id"]
    assert service.engine.asked == []


async def test_errors_of_openais_interface_have_a_code_whoever_answers_them(serve, keys):
    service = serve(keys=keys[0], max_body_bytes=1024)
    wrong, right = {"authorization": "Bearer fg_wrong"}, {"authorization": f"Bearer {keys[1]['generate']}"}
    body = {"prompt": "Say"}
    expected = [
        (await service.client.post("/v1/completions", json=body, headers=wrong), 401, "invalid_api_key"),
        (await service.client.get("/v1/models", headers=wrong), 401, "invalid_api_key"),
        (await service.client.post("/v1/completions", json=body, headers={"x-api-key": keys[1]["admin"]}), 403, None),
        (await service.client.post("/v1/completions", json={"prompt": "a" * 2000}, headers=right), 413, None),
        (await service.client.get("/v1/completions", headers=right), 405, None),
        (await service.client.get("/v1/nothing", headers=right), 404, None),
        (await service.client.get("/v1/models/huge", headers=right), 404, "model_not_found"),
    ]
    for reply, status, code in expected:
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert "code" not in (await service.client.post("/generate", json=QUESTION, headers=wrong)).json()["error"]


@pytest.mark.parametrize("header", ["Bearer {}", "bearer  {}", None])
async def test_a_key_may_come_in_either_header(serve, keys, header):
    service, secret = serve(keys=keys[0]), keys[1]["generate"]
    headers = {"authorization": header.format(secret)} if header else {"x-api-key": secret}
    assert (await service.client.post("/generate", json=QUESTION, headers=headers)).status_code == 200


async def test_a_key_that_lacks_the_scope_is_answered_by_403(serve, keys):
    service = serve(keys=keys[0])
    for path, scope in (("/generate", "generate"), ("/admin/reload", "admin"), ("/annotation/next", "feedback")):
        for other in SCOPES:
            reply = await service.client.post(path, json=QUESTION, headers={"x-api-key": keys[1][other]})
            if other == scope:
                assert reply.status_code in (200, 404, 422, 503)
            else:
                assert (reply.status_code, reply.json()["error"]["type"]) == (403, "forbidden")
                assert f"lacks the scope '{scope}'" in reply.json()["error"]["message"]


async def test_probes_are_public_and_metrics_follow_their_setting(serve, keys):
    service = serve(keys=keys[0])
    for path in ("/livez", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert (await service.client.get(path)).status_code == 200
        assert (await service.client.head(path)).status_code == 200
    assert (await service.client.head("/v1/models")).status_code == 401
    service = serve(keys=keys[0], metrics_open=False)
    assert (await service.client.get("/metrics")).status_code == 401
    reply = await service.client.get("/metrics", headers={"authorization": f"Bearer {keys[1]['metrics']}"})
    assert reply.status_code == 200


async def test_the_body_of_an_unauthenticated_request_is_not_read(serve, keys):
    service = serve(keys=keys[0])

    async def endless():
        raise AssertionError("read")
        yield b""

    assert (await service.client.post("/generate", content=endless())).status_code == 401


async def test_the_caller_is_the_key_or_without_keys_the_address(serve, keys):
    requests = []
    for settings, headers in (({"keys": keys[0]}, {"x-api-key": keys[1]["generate"]}), ({}, {})):
        service = serve(**settings)
        pipeline = service.backend.pipeline

        def spied(request, prepare=pipeline.prepare):
            requests.append(request)
            return prepare(request)

        pipeline.prepare = spied
        assert (await service.client.post("/generate", json=QUESTION, headers=headers)).status_code == 200
    assert [request.caller.id for request in requests] == [f"key:{keys[2]['generate']}", "127.0.0.1"]


@pytest.mark.parametrize(
    ("forwarded", "caller"),
    [
        ("key:deadbeef", "anonymous"),
        ("unknown", "anonymous"),
        ("203.0.113.7", "203.0.113.7"),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
async def test_a_forwarded_address_never_becomes_a_keys_name(service, forwarded, caller):
    callers = []
    pipeline = service.backend.pipeline

    def spied(request, prepare=pipeline.prepare):
        callers.append(request.caller.id)
        return prepare(request)

    pipeline.prepare = spied
    behind_proxy = ProxyHeadersMiddleware(service.app, trusted_hosts="*")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(behind_proxy), base_url="http://test") as client:
        reply = await client.post("/generate", json=QUESTION, headers={"x-forwarded-for": forwarded})
    assert reply.status_code == 200
    assert callers == [caller]


async def test_the_limits_of_a_key_are_enforced(serve, tmp_path):
    file = KeyFile(tmp_path / "keys.toml")
    _, secret = file.add("app", ["generate"], Limits(requests_per_minute=1))
    service = serve(keys=file.path)
    statuses = [
        (await service.client.post("/generate", json=QUESTION, headers={"x-api-key": secret})).status_code
        for _ in range(2)
    ]
    assert statuses == [200, 429]


def test_a_missing_key_file_stops_the_service_before_anything_loads(serve, tmp_path):
    with pytest.raises(FgctlError, match="fgctl keys add"):
        serve(keys=tmp_path / "none.toml")
