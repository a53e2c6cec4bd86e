"""What the service answers is what its OpenAPI schema says, for requests that the schema allows and that it forbids."""

import asyncio

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.feedback.records import NewResponse, StoredPassage
from service.feedback.store.database import Database, async_url, create
from service.feedback.store.feedback_store import FeedbackStore, open_store
from tests.unit.service.conftest import Service

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 20
"""For each operation and mode; the whole file takes some seconds of one core."""


class OpenedForEachCall:
    """The feedback store: every request comes in an event loop of its own, where no other's connections can be used."""

    def __init__(self, url):
        self._url = async_url(url)

    def __getattr__(self, name):
        async def call(*arguments, **settings):
            store = FeedbackStore(Database(create(self._url)))
            try:
                return await getattr(store, name)(*arguments, **settings)
            finally:
                await store.close()

        return call


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    """The schema of one service, which every operation is tried on."""
    directory = tmp_path_factory.mktemp("contract")
    url = f"sqlite:///{directory}/feedback.db"
    service = Service(directory, feedback_store=url)
    service.start()

    async def fill():
        store = await open_store(url)
        passages = (StoredPassage(title="T", text="It is here.", sentences=("It is here.",)),)
        await store.record(
            [NewResponse(id=f"r{i}", text=f"Here {i}.", question="Where?", passages=passages) for i in "12"]
        )
        await store.sign_in("Ann")
        await store.close()

    asyncio.run(fill())
    service.backend.feedback._store = OpenedForEachCall(url)
    service.backend.stop = service.backend.start  # which does nothing
    service.backend.reload = service.backend.start  # the stand-ins are in no store
    return schemathesis.openapi.from_asgi("/openapi.json", service.app, config=SchemathesisConfig())


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        ("POST /generate", GenerationMode.POSITIVE),
        ("POST /generate", GenerationMode.NEGATIVE),  # of the others nothing can be wrong by the schema
        ("POST /score", GenerationMode.POSITIVE),
        ("POST /score", GenerationMode.NEGATIVE),
        ("GET /responses/{response_id}", GenerationMode.POSITIVE),
        ("GET /profiles", GenerationMode.POSITIVE),
        ("GET /preferences", GenerationMode.POSITIVE),
        ("DELETE /preferences", GenerationMode.POSITIVE),
        ("GET /livez", GenerationMode.POSITIVE),
        ("GET /readyz", GenerationMode.POSITIVE),
        ("GET /metrics", GenerationMode.POSITIVE),
        ("POST /admin/reload", GenerationMode.POSITIVE),
        ("GET /policies/{profile}/{version}/{file}", GenerationMode.POSITIVE),
        ("GET /v1/models", GenerationMode.POSITIVE),
        ("GET /v1/models/{model}", GenerationMode.POSITIVE),
        ("POST /v1/completions", GenerationMode.POSITIVE),
        ("POST /v1/completions", GenerationMode.NEGATIVE),
        ("POST /v1/chat/completions", GenerationMode.POSITIVE),
        ("POST /v1/chat/completions", GenerationMode.NEGATIVE),
        ("POST /v1/responses", GenerationMode.POSITIVE),
        ("POST /v1/responses", GenerationMode.NEGATIVE),
        ("GET /v1/responses/{response_id}", GenerationMode.POSITIVE),
        ("DELETE /v1/responses/{response_id}", GenerationMode.POSITIVE),
        ("POST /tokenize", GenerationMode.POSITIVE),
        ("GET /health", GenerationMode.POSITIVE),
        ("GET /version", GenerationMode.POSITIVE),
        ("POST /responses/{response_id}/feedback", GenerationMode.POSITIVE),
        ("POST /responses/{response_id}/feedback", GenerationMode.NEGATIVE),
        ("POST /annotation/next", GenerationMode.POSITIVE),
        ("POST /annotation/draft", GenerationMode.POSITIVE),
        ("POST /annotation/skip", GenerationMode.POSITIVE),
        ("POST /annotation/submit", GenerationMode.POSITIVE),
        ("POST /annotation/submit", GenerationMode.NEGATIVE),
        ("POST /annotation/judgements", GenerationMode.POSITIVE),
        ("POST /annotation/judgements", GenerationMode.NEGATIVE),
        ("POST /annotation/pairs", GenerationMode.POSITIVE),
        ("POST /annotation/compare", GenerationMode.POSITIVE),
        ("GET /annotation/annotations", GenerationMode.POSITIVE),
        ("GET /annotation/comparisons", GenerationMode.POSITIVE),
        ("GET /annotation/feedback", GenerationMode.POSITIVE),
        ("GET /annotation/agreement", GenerationMode.POSITIVE),
    ],
)
def test_answers_are_as_declared(schema, operation, mode):
    method, path = operation.split()
    declared = schema[path][method]

    @given(case=declared.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def check(case):
        case.call_and_validate(checks=[*CHECKS, not_a_server_error], timeout=300)

    check()


def test_every_route_is_checked_and_declares_its_errors(service):
    declared = service.app.openapi()["paths"]
    assert set(declared) == {
        "/generate", "/score", "/preferences", "/responses/{response_id}", "/profiles", "/livez", "/readyz", "/metrics",
        "/admin/reload", "/v1/models", "/v1/models/{model}", "/v1/completions", "/v1/chat/completions", "/v1/responses",
        "/v1/responses/{response_id}", "/tokenize", "/health", "/version", "/policies/{profile}/{version}/{file}",
        "/responses/{response_id}/feedback", "/annotation/next", "/annotation/draft", "/annotation/skip",
        "/annotation/judgements", "/annotation/judgements/next",
        "/annotation/submit", "/annotation/pairs", "/annotation/compare", "/annotation/annotations",
        "/annotation/comparisons", "/annotation/feedback", "/annotation/agreement", "/annotation/open",
        "/annotation/progress", "/annotation/pairs/skip",
    }  # fmt: skip
    assert set(declared["/generate"]["post"]["responses"]) == {
        "200", "400", "401", "403", "404", "408", "413", "415", "422", "429", "431", "503",
    }  # fmt: skip
    for path, operations in declared.items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if status.startswith("4"):
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (path, status)
