"""Security headers, request ids, limits on headers and body, and unexpected errors."""

import asyncio

import pytest

pytestmark = pytest.mark.anyio
QUESTION = {"question": "Where?"}


async def test_every_response_has_the_security_headers_also_an_error(service):
    for reply in (
        await service.ask(),
        await service.client.get("/nothing"),
        await service.client.get("/metrics"),
        await service.client.post("/generate", json={"question": "a" * 5000}),
    ):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert reply.headers["cache-control"] == "no-store"


async def test_the_docs_page_loads_nothing_from_other_hosts(service):
    reply = await service.client.get("/docs")
    assert reply.status_code == 200
    assert "://" not in reply.headers["content-security-policy"]
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert "https://" not in reply.text
    assert (await service.client.get("/redoc")).status_code == 404


@pytest.mark.parametrize(
    "path", ["/metrics%0A", "/responses/x/feedback%0A", "/livez%00", "/responses/a%0D%0Ab", "/%C2%85"]
)
async def test_control_characters_in_a_path_are_refused(service, path):
    reply = await service.client.get(path)
    assert (reply.status_code, reply.json()["error"]["type"]) == (400, "bad_request")


async def test_open_routes_take_hardly_any_body(serve, tmp_path):
    from service.domain.caller import Limits
    from service.edge.keys import KeyFile

    file = KeyFile(tmp_path / "keys.toml")
    _, secret = file.add("app", ["generate"], Limits())
    client = serve(keys=file.path, max_body_bytes=1 << 20).client
    for path in ("/livez", "/docs", "/static/style.css"):
        assert (await client.request("GET", path, content=b"a" * 2000)).status_code == 413
        assert (await client.request("GET", path, content=b"a" * 1000)).status_code == 200
    headers = {"x-api-key": secret}
    assert (await client.post("/generate", json={"question": "a" * 2000}, headers=headers)).status_code == 200


async def test_other_origins_are_refused_unless_the_settings_name_them(serve):
    origin = {"origin": "https://app.example", "access-control-request-method": "POST"}
    closed = serve()
    assert "access-control-allow-origin" not in (await closed.ask()).headers
    assert (await closed.client.options("/generate", headers=origin)).status_code == 405
    opened = serve(cors_origins="https://app.example, https://other.example")
    reply = await opened.client.options("/generate", headers=origin)
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "https://app.example")
    assert "access-control-allow-credentials" not in reply.headers
    asked = "authorization,content-type,x-stainless-lang,x-stainless-retry-count"
    preflight = origin | {"access-control-request-headers": asked}
    reply = await opened.client.options("/v1/chat/completions", headers=preflight)
    assert (reply.status_code, reply.headers["access-control-allow-headers"]) == (200, asked)
    reply = await opened.client.options("/generate", headers=origin | {"origin": "https://evil.example"})
    assert reply.status_code == 400


async def test_a_preflight_needs_no_key_and_the_browser_can_read_a_refusal(serve, tmp_path):
    from service.domain.caller import Limits
    from service.edge.keys import KeyFile

    file = KeyFile(tmp_path / "keys.toml")
    file.add("app", ["generate"], Limits())
    service = serve(keys=file.path, cors_origins="https://app.example")
    origin = {"origin": "https://app.example", "access-control-request-method": "POST"}
    assert (await service.client.options("/generate", headers=origin)).status_code == 200
    reply = await service.client.post("/generate", json=QUESTION, headers=origin)
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (401, "https://app.example")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/v1/models", "/v1/models/medium", "/profiles"])
async def test_head_is_answered_like_get_without_the_body(service, path):
    get, head = await service.client.get(path), await service.client.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":  # which counts requests
        assert head.headers["content-length"] == get.headers["content-length"]
    assert (await service.client.head("/generate")).status_code == 405
    assert (await service.client.head("/nothing")).status_code == 404


async def test_a_stream_leaves_it_to_the_server_whether_the_connection_stays_open(service):
    for path in ("/generate", "/v1/completions"):
        body = {"question": "Where?"} if path == "/generate" else {"prompt": "Say"}
        reply = await service.client.post(path, json=body | {"stream": True})
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert "connection" not in reply.headers


@pytest.mark.parametrize("where", ["path", "query", "header"])
async def test_a_url_or_headers_over_the_limit_are_answered_by_431(serve, where):
    service, long = serve(max_head_bytes=2048), "a" * 2048
    reply = await service.client.get(
        f"/{long}" if where == "path" else "/livez",
        params={"x": long} if where == "query" else {},
        headers={"x": long} if where == "header" else {},
    )
    assert (reply.status_code, reply.json()["error"]["type"]) == (431, "too_large")


async def test_a_body_that_does_not_arrive_is_answered_by_408(serve):
    service = serve(receive_timeout=0.05)

    async def slow():
        yield b'{"question":'
        await asyncio.sleep(5)

    reply = await service.client.post("/generate", content=slow())
    assert (reply.status_code, reply.json()["error"]["type"]) == (408, "too_slow")


async def test_a_body_in_many_small_pieces_is_read_in_linear_time(serve):
    """Adding up all pieces at each new piece would take minutes for a megabyte in single bytes."""
    service = serve(max_body_bytes=1 << 18)

    async def small_pieces():
        yield b'{"question":"Where?"'
        for _ in range(1 << 17):
            yield b" "
        yield b"}"

    request = service.client.post("/generate", content=small_pieces(), headers={"content-type": "application/json"})
    assert (await asyncio.wait_for(request, 30)).status_code == 200


async def test_an_unexpected_error_is_answered_by_500_with_the_request_id_and_no_detail(service, caplog):
    async def broken(task):
        raise RuntimeError("secret detail")

    service.backend.pipeline.prepare = broken
    reply = await service.ask()
    assert (reply.status_code, reply.json()["error"]["type"]) == (500, "internal_error")
    assert "secret" not in reply.text
    assert reply.headers["x-request-id"] in reply.json()["error"]["message"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "secret detail" in caplog.text


async def test_a_clients_request_id_is_kept_if_it_is_valid(service):
    headers = {"x-request-id": "abc-1.2_3"}
    assert (await service.client.get("/livez", headers=headers)).headers["x-request-id"] == "abc-1.2_3"
    for wrong in ("a b", "x" * 129, "é"):
        reply = await service.client.get("/livez", headers={b"x-request-id": wrong.encode("latin-1")})
        assert len(reply.headers["x-request-id"]) == 32
