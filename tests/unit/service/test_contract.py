"""What the service answers is what its OpenAPI schema says, for requests that the schema allows and that it forbids."""

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

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 40
"""For each operation and mode; the whole file takes some seconds of one core."""


@pytest.fixture
def schema(service):
    return schemathesis.openapi.from_asgi("/openapi.json", service.app, config=SchemathesisConfig())


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        ("POST /generate", GenerationMode.POSITIVE),
        ("POST /generate", GenerationMode.NEGATIVE),  # of the others nothing can be wrong by the schema
        ("GET /responses/{response_id}", GenerationMode.POSITIVE),
        ("GET /profiles", GenerationMode.POSITIVE),
        ("GET /livez", GenerationMode.POSITIVE),
        ("GET /readyz", GenerationMode.POSITIVE),
        ("GET /metrics", GenerationMode.POSITIVE),
        ("POST /admin/reload", GenerationMode.POSITIVE),
        ("GET /v1/models", GenerationMode.POSITIVE),
        ("GET /v1/models/{model}", GenerationMode.POSITIVE),
        ("POST /v1/completions", GenerationMode.POSITIVE),
        ("POST /v1/completions", GenerationMode.NEGATIVE),
        ("POST /v1/chat/completions", GenerationMode.POSITIVE),
        ("POST /v1/chat/completions", GenerationMode.NEGATIVE),
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
        case.call_and_validate(checks=[*CHECKS, not_a_server_error])

    check()


def test_every_route_is_checked_and_declares_its_errors(service):
    declared = service.app.openapi()["paths"]
    assert set(declared) == {
        "/generate", "/responses/{response_id}", "/profiles", "/livez", "/readyz", "/metrics", "/admin/reload",
        "/v1/models", "/v1/models/{model}", "/v1/completions", "/v1/chat/completions",
    }  # fmt: skip
    assert set(declared["/generate"]["post"]["responses"]) == {
        "200", "400", "401", "403", "404", "408", "413", "422", "429", "431", "503",
    }  # fmt: skip
    for path, operations in declared.items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if status.startswith("4"):
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (path, status)
