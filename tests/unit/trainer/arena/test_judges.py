"""Verdicts by the judge, and by a model behind an endpoint."""

import json

import httpx
import pytest

from policies.weights import Weights
from rewards.dataset import Passage
from rewards.errors import FgctlError
from rewards.models.judge import Judgement
from rewards.scores import ScoreRequest
from trainer.arena.chat_endpoint import Address, ChatEndpoint
from trainer.arena.judges import by_endpoint, by_judge, judged_choice, read_choice
from trainer.arena.matches import Match

ADDRESS = Address("http://judge/v1", "large")
EQUAL = Weights.parse("1,1,1")


def judgement(relevance=(False,), factuality=(False,), completeness=0.0):
    return Judgement({"relevance": tuple(relevance), "factuality": tuple(factuality)}, completeness)


@pytest.mark.parametrize(
    ("a", "b", "choice"),
    [
        (judgement(), judgement(factuality=[True]), "a"),
        (judgement(completeness=-1.0), judgement(completeness=1.0), "b"),
        (judgement(), judgement(completeness=0.1), "tie"),
        (judgement([True], [True], 2.0), judgement([True, True], [True]), "neither"),
    ],
)
def test_the_judge_prefers_what_it_would_pay_more(a, b, choice):
    assert judged_choice(a, b, EQUAL) == choice


def test_the_judge_judges_in_rounds_of_which_none_is_lost(monkeypatch):
    monkeypatch.setattr("trainer.arena.judges._ROUND", 2)

    class Judge:
        def judge(self, requests):
            return [judgement(completeness=len(request.response) - 8.0) for request in requests]

    pairs = [(Match(i, 0, "x", "y", str(i)), pair("long answer", "short")) for i in (1, 0, 1)]
    done = []
    rounds = list(by_judge(Judge(), pairs, EQUAL, done.append))
    assert [len(verdicts) for verdicts in rounds] == [2, 1]
    assert {verdict.choice for verdicts in rounds for verdict in verdicts} == {"a"}
    assert [verdict.match for verdicts in rounds for verdict in verdicts] == ["0", "1", "1"]
    assert done == [2, 3]


@pytest.mark.parametrize(
    ("reply", "first", "choice"),
    [
        ("1", "a", "a"), ("1", "b", "b"), ("2", "a", "b"), ("**2**\n", "b", "a"), ("Tie.", "a", "tie"),
        ("bad", "b", "neither"),
        ("Answer 1 is longer, answer 2 is right.\n2", "a", "b"), ("I cannot say.", "a", None), ("", "a", None),
        ("1 or 2", "a", None), ("bad: 1\n", "a", None), ("2\n\nThe second one cites.", "a", "b"),
        ("Verdict: tie\n```", "a", "tie"), ("Answer 1 is short.\nIt leaves out the", "a", None),
    ],
)  # fmt: skip
def test_the_last_line_of_a_reply_has_the_choice(reply, first, choice):
    assert read_choice(reply, first) == choice


def pair(a, b):
    return tuple(ScoreRequest("Where?", (Passage(title="Ostra", text="By the Lind."),), text) for text in (a, b))


def test_a_model_is_asked_in_both_orders_and_never_told_who_wrote_what():
    asked = []

    def reply(request):
        text = json.loads(request.content)["messages"][1]["content"]
        asked.append(text)
        return httpx.Response(200, json={"choices": [{"message": {"content": "1"}}]})

    endpoint = ChatEndpoint(ADDRESS, httpx.MockTransport(reply))
    (verdicts,) = by_endpoint(ADDRESS, [(Match(0, 0, "mine", "theirs", "k"), pair("A", "B"))], lambda _: None, endpoint)
    assert sorted((verdict.choice, verdict.first) for verdict in verdicts) == [("a", "a"), ("b", "b")]
    assert sorted("Answer 1:\nA" in text for text in asked) == [False, True]
    assert all("By the Lind." in text and "mine" not in text for text in asked)


def test_an_endpoint_that_is_busy_is_asked_again(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    replies = iter([httpx.Response(503), httpx.Response(200, json={"choices": [{"message": {"content": "Yes."}}]})])
    seen = []

    def reply(request):
        seen.append(request.headers["authorization"])
        return next(replies)

    endpoint = ChatEndpoint(ADDRESS, httpx.MockTransport(reply), pause=0)
    assert endpoint.ask([], temperature=0, seed=0, max_tokens=5) == "Yes."
    assert seen == ["Bearer secret"] * 2


def test_a_verdict_that_was_cut_before_its_end_is_none():
    cut = {"choices": [{"message": {"content": "Answer 1 says"}, "finish_reason": "length"}]}
    endpoint = ChatEndpoint(ADDRESS, httpx.MockTransport(lambda request: httpx.Response(200, json=cut)))
    (verdicts,) = by_endpoint(ADDRESS, [(Match(0, 0, "x", "y", "k"), pair("A", "B"))], lambda _: None, endpoint)
    assert [verdict.choice for verdict in verdicts] == [None, None]
    endpoint = ChatEndpoint(ADDRESS, httpx.MockTransport(lambda request: httpx.Response(200, json=cut)))
    assert endpoint.ask([], temperature=0, seed=0, max_tokens=5) == "Answer 1 says"


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (httpx.Response(401), "http://judge/v1#large answered 401; fix its URL, its model or OPENAI_API_KEY."),
        (httpx.Response(500), "answered 500, 4 times; start it"),
        (httpx.Response(200, json={"choices": []}), "which is no chat completion"),
        (httpx.Response(200, text="<html>"), "which is no chat completion"),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_named(reply, message):
    endpoint = ChatEndpoint(ADDRESS, httpx.MockTransport(lambda request: reply), pause=0)
    with pytest.raises(FgctlError) as error:
        endpoint.ask([], temperature=0, seed=0, max_tokens=5)
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["", "localhost", "http://host/v1", "ftp://host#m", "http://#m", "http://h:99999#m"])
def test_an_address_is_a_url_and_a_model(text):
    with pytest.raises(FgctlError, match="names no endpoint and model"):
        Address.parse(text)


def test_an_address_is_shown_without_a_password():
    assert str(Address.parse("https://me:secret@host:80/v1/#m")) == "https://host:80/v1#m"
