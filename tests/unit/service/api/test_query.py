"""Query parameters that a path does not read are refused on every path outside /v1."""

import pytest
from fastapi.routing import APIRoute

from service.pages.router import router as pages_router

pytestmark = pytest.mark.anyio
FOR_MACHINES = {"/livez", "/readyz", "/health", "/metrics"}
"""Probed and scraped with whatever parameters a machine is configured to send."""
PAGES = {route.path for route in pages_router.routes if isinstance(route, APIRoute)}
"""Opened by people, whose links may have parameters for the page's script."""


def routes(service):
    return [
        (method, route)
        for route in service.app.routes
        if isinstance(route, APIRoute) and not route.path.startswith("/v1/")
        for method in sorted(route.methods)
        if route.path not in FOR_MACHINES | PAGES
    ]


async def test_an_unknown_query_parameter_is_refused_on_every_path(service):
    asked = []
    for method, route in routes(service):
        reply = await service.client.request(
            method, route.path, params={"profil": "long"}, json={} if method == "POST" else None
        )
        refused = (reply.status_code, reply.json()["error"]["param"])
        assert refused == (422, "profil"), (method, route.path, reply.text)
        assert "'profil' is not a query parameter here" in reply.json()["error"]["message"]
        asked.append(f"{method} {route.path}")
    assert {"POST /tokenize", "GET /profiles", "GET /version", "POST /generate", "POST /annotation/submit"} <= {*asked}


async def test_probes_scrapes_and_pages_are_answered_with_any_parameter(service):
    for path in sorted(FOR_MACHINES | PAGES):
        with_parameter = await service.client.get(path, params={"profil": "long"})
        assert with_parameter.status_code == (await service.client.get(path)).status_code


async def test_v1_refuses_a_parameter_that_would_choose_the_policy_and_ignores_others(service):
    for name, status in (("x", 200), ("profile", 400)):
        assert (await service.client.get("/v1/models", params={name: "long"})).status_code == status
