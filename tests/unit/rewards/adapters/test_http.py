import json

import httpx
import pytest

from rewards.adapters import http
from rewards.adapters.http import HttpRewards
from rewards.configuration import Http
from rewards.dataset import Passage
from rewards.errors import FgctlError
from rewards.scores import ScoreRequest

REQUESTS = [
    ScoreRequest("Where?", (Passage(title="T", text="By the sea."),), "Über it. 😀 There."),
    ScoreRequest("When?", (), "Then."),
]
SEGMENTS = [[(0, 8), (9, 17)], [(0, 5)]]


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    slept = []
    monkeypatch.setattr(http.time, "sleep", slept.append)
    return slept


class Endpoint:
    """Returns its replies in order, and the last one for ever."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, httpx.Response) else httpx.Response(200, json=reply)


def rewards(endpoint, **settings):
    config = Http.model_validate(
        {
            "type": "http",
            "density": "sentence",
            "description": "d",
            "url": "http://judge.test/score?key=hidden",
            **settings,
        }
    )
    return HttpRewards("politeness", config, httpx.MockTransport(endpoint))


GOOD = {"probabilities": [[0.25, 1], [0]]}


def test_an_endpoint_gets_texts_and_offsets_and_gives_probabilities(monkeypatch):
    monkeypatch.setenv("JUDGE_TOKEN", "Bearer abc\n")
    endpoint = Endpoint(GOOD)
    probabilities = rewards(endpoint, headers={"Authorization": "JUDGE_TOKEN"}).score(REQUESTS, SEGMENTS)
    assert probabilities == [[0.25, 1.0], [0.0]]
    (asked,) = endpoint.asked
    assert asked.headers["authorization"] == "Bearer abc"
    assert json.loads(asked.content) == {
        "category": "politeness",
        "responses": [
            {
                "question": "Where?",
                "passages": [{"title": "T", "text": "By the sea."}],
                "response": "Über it. 😀 There.",
                "segments": [{"start": 0, "end": 8, "text": "Über it."}, {"start": 9, "end": 17, "text": "😀 There."}],
            },
            {
                "question": "When?",
                "passages": [],
                "response": "Then.",
                "segments": [{"start": 0, "end": 5, "text": "Then."}],
            },
        ],
    }


def test_many_responses_are_posted_in_batches(monkeypatch):
    monkeypatch.setattr(http, "_BATCH", 2)

    def judge(request):
        responses = json.loads(request.content)["responses"]
        return httpx.Response(200, json={"probabilities": [[int(r["response"]) / 10] for r in responses]})

    requests = [ScoreRequest("?", (), str(i)) for i in range(5)]
    assert rewards(judge).score(requests, [[(0, 1)]] * 5) == [[i / 10] for i in range(5)]


@pytest.mark.parametrize(
    "failure",
    [httpx.ReadTimeout("too slow"), httpx.ConnectError("refused"), httpx.Response(500), httpx.Response(429)],
)
def test_temporary_failures_are_retried(failure, pauses):
    endpoint = Endpoint(failure, GOOD)
    assert rewards(endpoint).score(REQUESTS, SEGMENTS) == [[0.25, 1.0], [0.0]]
    assert len(endpoint.asked) == 2
    assert pauses == [0.5]


@pytest.mark.parametrize(
    ("failure", "excerpt"),
    [(httpx.ReadTimeout("too slow"), "did not answer (too slow), 3 times"), (httpx.Response(503), "answered 503, 3")],
)
def test_retries_are_bounded_and_their_pauses_grow(failure, excerpt, pauses):
    endpoint = Endpoint(failure)
    with pytest.raises(FgctlError) as error:
        rewards(endpoint).score(REQUESTS, SEGMENTS)
    assert excerpt in str(error.value)
    assert "politeness: http://judge.test/score" in str(error.value)
    assert "hidden" not in str(error.value)
    assert len(endpoint.asked) == 3
    assert pauses == [0.5, 1.0]


def test_permanent_failures_are_not_retried():
    endpoint = Endpoint(httpx.Response(403))
    with pytest.raises(FgctlError, match="answered 403; fix its url or headers"):
        rewards(endpoint).score(REQUESTS, SEGMENTS)
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    "reply",
    [httpx.Response(200, text="<html>"), {"scores": []}, {"probabilities": [0.5]}, {"probabilities": [["bad"]]}, []],
)
def test_an_error_quotes_a_malformed_reply(reply):
    with pytest.raises(FgctlError, match=r"it must answer \{\"probabilities\": \[\[\.\.\.\], \.\.\.\]\}\.$"):
        rewards(Endpoint(reply)).score(REQUESTS, SEGMENTS)


@pytest.mark.parametrize("value", [None, "", "Bearer ä", "a\nb"])
def test_a_header_needs_a_value_that_is_never_shown(monkeypatch, value):
    if value is None:
        monkeypatch.delenv("JUDGE_TOKEN", raising=False)
    else:
        monkeypatch.setenv("JUDGE_TOKEN", value)
    with pytest.raises(FgctlError, match="set JUDGE_TOKEN to the value of the header Authorization") as error:
        rewards(Endpoint(GOOD), headers={"Authorization": "JUDGE_TOKEN"})
    assert "Bearer" not in str(error.value)
