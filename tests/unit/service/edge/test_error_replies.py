"""Replies to failures, as far as the endpoints' own tests do not show them."""

import pytest

from service.edge.error_replies import for_openai, from_validation
from service.engine.engine import EngineGone
from service.errors import InvalidField, InvalidRequest, NotFound


def test_one_failure_may_be_the_answer_to_requests_of_both_kinds():
    failure = NotFound("medium@1 cannot be served.", "profile")
    for_openai(failure)
    assert failure.body()["error"] == {
        "type": "not_found", "message": "medium@1 cannot be served.", "param": "profile",
    }  # fmt: skip
    assert for_openai(InvalidRequest("No.", "stop")).status == 400
    gone = for_openai(EngineGone())
    assert (gone.status, gone.type, gone.message) == (503, "unavailable", EngineGone().message)


@pytest.mark.parametrize(
    ("location", "kind", "param"),
    [
        (("body", "stop", "function-after[_encodable(), str]"), "string_type", "stop"),
        (("body", "messages", 0, "content", "list[TextPart]", 1, "text"), "missing", "messages.0.content.1.text"),
        (("body", "weights", "str"), "string_type", "weights"),
        (("query", "limit"), "int_parsing", "limit"),
        (("body", "not a field[]"), "extra_forbidden", "not a field[]"),
        (("body",), "model_type", "body"),
    ],
)
def test_the_parameter_is_a_path_without_the_branches_of_unions(location, kind, param):
    assert from_validation({"type": kind, "loc": location, "msg": "Wrong", "input": None}).param == param


def test_a_validator_of_the_whole_request_may_name_the_field():
    error = {
        "type": "value_error",
        "loc": ("body",),
        "msg": "",
        "ctx": {"error": InvalidField("n", "n is 0; raise it.")},
    }
    assert (from_validation(error).param, from_validation(error).message) == ("n", "n is 0; raise it.")
