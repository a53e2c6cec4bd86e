"""The benchmark of scoring under load: its counts, without a clock or a model."""

import json

import pytest

from rewards.errors import FgctlError
from service.bench import scoring
from service.bench.load import Times


class FakeSample:
    def __init__(self, name, value, **labels):
        self.name, self.value, self.labels = name, value, labels


class FakeService:
    """Scores 4 answers per second of work, and drops those over its capacity."""

    def __init__(self, monkeypatch):
        self.counts = {name: {"offered": 0, "scored": 0, "sampled_out": 0, "dropped": 0} for name in ("short", "long")}
        self.busy = 0.0
        self.uncounted = 0
        """Scored answers that no counter reports."""
        monkeypatch.setattr(scoring, "samples", self.samples)
        monkeypatch.setattr(scoring, "run_closed_loop", self.run_closed_loop)
        monkeypatch.setattr(scoring, "run_open_loop", self.run_open_loop)
        monkeypatch.setattr(scoring.time, "sleep", lambda _: None)

    async def run_closed_loop(self, name, url, requests, body, *, concurrency, tokens):
        self.answer(requests, 1)

    async def run_open_loop(self, name, url, requests, body, *, rate, tokens):
        self.answer(requests, min(1, 4 / rate))
        return Times(1.0, 1, (0.1,), (), (1.0 + rate / 1000,))

    def answer(self, requests, share):
        for number, profile in enumerate(requests):
            fate = "scored" if number % 4 < 4 * share else "dropped"
            self.counts[profile]["offered"] += 1
            self.counts[profile][fate] += 1
            self.busy += 0.25 * (fate == "scored")

    def samples(self, url):
        yield FakeSample("fg_scoring_busy_seconds_total", self.busy)
        yield FakeSample("fg_scoring_queue_depth", 0)
        yield FakeSample("fg_requests_total", 7, profile="short")
        for profile, counts in self.counts.items():
            yield FakeSample("fg_scoring_offered_total", counts["offered"], profile=profile)
            scored = counts["scored"] - self.uncounted
            yield FakeSample("fg_responses_scored_total", scored, profile=profile, policy="v")
            for fate, reason in (("sampled_out", "sampled_out"), ("dropped", "queue_full")):
                yield FakeSample("fg_scoring_dropped_total", counts[fate], profile=profile, reason=reason)


def make(count, first):
    return [("short", "long")[number % 2] for number in range(first, first + count)]


@pytest.fixture
def fake(monkeypatch):
    return FakeService(monkeypatch)


def test_every_answer_is_accounted_for_at_every_load(fake):
    report = scoring.measure("The service", "", ["short", "long"], make, 10)
    json.dumps(report)
    assert report["capacity_per_second"] == 4
    assert [load["requests_per_second"] for load in report["loads"]] == [2, 4, 8]
    for load in report["loads"]:
        for counts in load["profiles"].values():
            assert counts["offered"] == counts["scored"] + counts["sampled_out"] + counts["dropped"]
    offered = [sum(counts["offered"] for counts in load["profiles"].values()) for load in report["loads"]]
    assert offered == [20, 40, 80]
    assert [load["profiles"]["short"]["dropped"] for load in report["loads"]] == [0, 0, 20]
    assert report["reply_ratio"] == pytest.approx(1.008 / 1.002)
    assert report["first_token_ratio"] == 1


def test_answers_that_are_never_accounted_for_are_an_error(fake, monkeypatch):
    monkeypatch.setattr(scoring, "_CATCH_UP", 0)
    before = scoring.counts("", ["short", "long"])
    fake.answer(make(8, 0), 1)
    fake.uncounted = 1
    with pytest.raises(FgctlError, match="accounted for every answer"):
        scoring._settled_counts("", ["short", "long"], before, 8)


def test_counts_that_do_not_add_up_are_an_error(fake):
    before = scoring.counts("", ["short", "long"])
    fake.answer(make(8, 0), 1)
    fake.counts["short"]["offered"] += 1
    with pytest.raises(FgctlError, match="short do not add up"):
        scoring._settled_counts("", ["short", "long"], before, 8)


def test_a_service_that_scores_nothing_is_an_error(fake):
    fake.answer = lambda requests, share: None
    with pytest.raises(FgctlError, match="scored nothing"):
        scoring.measure_capacity("The service", "", make, 0)
