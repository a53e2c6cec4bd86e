"""The benchmark of scoring under load: what is counted, without a clock or a model."""

import json

import pytest

from rewards.errors import FgctlError
from service.bench import scoring
from service.bench.load import Times


class FakeSample:
    def __init__(self, name, value, **labels):
        self.name, self.value, self.labels = name, value, labels


class FakeService:
    """Scores 4 a second of work; of what a load offers it leaves a part out, and drops what is over its capacity."""

    def __init__(self, monkeypatch):
        self.counts = {name: {"offered": 0, "scored": 0, "sampled_out": 0, "dropped": 0} for name in ("short", "long")}
        self.busy = 0.0
        self.loses = 0
        monkeypatch.setattr(scoring, "samples", self.samples)
        monkeypatch.setattr(scoring, "drive", self.drive)
        monkeypatch.setattr(scoring, "arrive", self.arrive)
        monkeypatch.setattr(scoring.time, "sleep", lambda _: None)

    async def drive(self, name, url, asked, body, *, concurrency, tokens):
        self.take(asked, 1)

    async def arrive(self, name, url, asked, body, *, rate, tokens):
        self.take(asked, min(1, 4 / rate))
        return Times(1.0, 1, (0.1,), (), (1.0 + rate / 1000,))

    def take(self, asked, share):
        for number, profile in enumerate(asked):
            what = "scored" if number % 4 < 4 * share else "dropped"
            self.counts[profile]["offered"] += 1
            self.counts[profile][what] += 1
            self.busy += 0.25 * (what == "scored")

    def samples(self, url):
        yield FakeSample("fg_scoring_busy_seconds_total", self.busy)
        yield FakeSample("fg_scoring_queue_depth", 0)
        yield FakeSample("fg_requests_total", 7, profile="short")
        for profile, found in self.counts.items():
            yield FakeSample("fg_scoring_offered_total", found["offered"], profile=profile)
            yield FakeSample("fg_responses_scored_total", found["scored"] - self.loses, profile=profile, policy="v")
            for what, reason in (("sampled_out", "sampled_out"), ("dropped", "queue_full")):
                yield FakeSample("fg_scoring_dropped_total", found[what], profile=profile, reason=reason)


def make(count, first):
    return [("short", "long")[number % 2] for number in range(first, first + count)]


@pytest.fixture
def fake(monkeypatch):
    return FakeService(monkeypatch)


def test_every_answer_is_accounted_for_at_every_load(fake):
    report = scoring.measure("The service", "", ["short", "long"], make, 10)
    json.dumps(report)
    assert report["capacity_per_second"] == 4
    assert [one["requests_per_second"] for one in report["loads"]] == [2, 4, 8]
    for one in report["loads"]:
        for found in one["profiles"].values():
            assert found["offered"] == found["scored"] + found["sampled_out"] + found["dropped"]
    offered = [sum(found["offered"] for found in one["profiles"].values()) for one in report["loads"]]
    assert offered == [20, 40, 80]
    assert [one["profiles"]["short"]["dropped"] for one in report["loads"]] == [0, 0, 20]
    assert report["reply_ratio"] == pytest.approx(1.008 / 1.002)
    assert report["first_token_ratio"] == 1


def test_answers_that_are_never_accounted_for_are_an_error(fake, monkeypatch):
    monkeypatch.setattr(scoring, "_WAIT", 0)
    before = scoring.counts("", ["short", "long"])
    fake.take(make(8, 0), 1)
    fake.loses = 1
    with pytest.raises(FgctlError, match="accounted for every answer"):
        scoring._settled("", ["short", "long"], before, 8)


def test_counts_that_do_not_add_up_are_an_error(fake):
    before = scoring.counts("", ["short", "long"])
    fake.take(make(8, 0), 1)
    fake.counts["short"]["offered"] += 1
    with pytest.raises(FgctlError, match="short do not add up"):
        scoring._settled("", ["short", "long"], before, 8)


def test_a_service_that_scores_nothing_is_an_error(fake):
    fake.take = lambda asked, share: None
    with pytest.raises(FgctlError, match="scored nothing"):
        scoring.calibrate("The service", "", make, 0)
