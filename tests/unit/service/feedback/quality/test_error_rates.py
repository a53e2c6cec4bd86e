"""The error rate of stored answers: from the queue's draws over annotations to an estimate with an interval."""

import numpy as np
import pytest

from service.feedback.quality.from_store import load_traffic
from service.feedback.quality.report import error_rates
from service.feedback.recorder import Versions
from service.feedback.records import Annotation, NewScores, Span
from service.feedback.runtime import FeedbackRuntime
from service.metrics.metrics import Metrics
from service.settings import Settings

pytestmark = pytest.mark.anyio
SENTENCE = "The tower is red. "


def scored(name, probabilities):
    segments = [
        {"start": 18 * n, "end": 18 * n + 17, "error_probability": float(p), "error": bool(p >= 0.5)}
        for n, p in enumerate(probabilities)
    ]
    scores = {"scores": {"factuality": {"segments": segments}}, "in_domain": True, "notes": []}
    return NewScores(response_id=name, rewards="v", scored=scores)


class Traffic:
    """Answers of one to four sentences, of two profiles, with the truth about each sentence."""

    def __init__(self, answer, number):
        rng = np.random.default_rng(0)
        self.truth = [rng.random(rng.integers(1, 5)) < 0.3 for _ in range(number)]
        self.answers = [
            answer(f"r{n}", (SENTENCE * len(wrong)).strip(), profile="long" if n % 4 else "short", policy="v1")
            for n, wrong in enumerate(self.truth)
        ]
        self.scores = [
            scored(f"r{n}", np.clip(0.35 + 0.4 * wrong + 0.2 * rng.random(len(wrong)), 0, 1))
            for n, wrong in enumerate(self.truth)
        ]

    def annotation(self, response_id):
        wrong = self.truth[int(response_id[1:])]
        errors = tuple(
            Span(label="Unverifiable", start=18 * n, end=18 * n + 17) for n, error in enumerate(wrong) if error
        )
        return Annotation(
            submission_id=f"s{response_id}", response_id=response_id, annotator="Ann", errors=errors,
            corrected="It is." if errors else None,
        )  # fmt: skip

    def rate(self, profile=None):
        chosen = [
            wrong for answer, wrong in zip(self.answers, self.truth, strict=True) if profile in (None, answer.profile)
        ]
        return np.concatenate(chosen).mean()


@pytest.fixture
async def traffic(store, answer):
    traffic = Traffic(answer, 240)
    await store.record(traffic.answers, traffic.scores)
    return traffic


async def annotate(store, traffic, order, number):
    handed = []
    for _ in range(number):
        assignment = await store.next_response_for("Ann", order)
        await store.submit(traffic.annotation(assignment.response.id))
        handed.append(assignment.response)
    return handed


@pytest.mark.parametrize("order", ["sampled", "error_rate"])
async def test_answers_that_the_queue_draws_give_an_estimate(store, traffic, order):
    handed = await annotate(store, traffic, order, 60)
    figures = error_rates(await load_traffic(store))["factuality"]
    assert figures["low"] <= traffic.rate() <= figures["high"]
    assert (figures["labels"], figures["drawn"], figures["scored"]) == (60, 60, 240)
    assert figures["raw"] > figures["high"]
    assert figures["labels_saved"] > 0
    assert figures["newest_label"].startswith("2026-01-01T00:00:00")
    of_profile = {name: part["drawn"] for name, part in figures["profiles"].items()}
    assert sum(of_profile.values()) == len(handed)
    if order == "error_rate":
        assert of_profile == {"long": 30, "short": 30}
    for name, part in figures["profiles"].items():
        assert part["low"] <= traffic.rate(name) <= part["high"]
        assert list(part["versions"]) == ["v1"]


async def test_answers_that_the_queue_chose_count_for_themselves(store, traffic):
    await annotate(store, traffic, "uncertain", 30)
    figures = error_rates(await load_traffic(store))["factuality"]
    assert (figures["labels"], figures["drawn"], figures["estimate"]) == (30, 0, None)
    assert error_rates(await load_traffic(store), all_drawn=True)["factuality"]["drawn"] == 30
    await annotate(store, traffic, "sampled", 30)
    figures = error_rates(await load_traffic(store))["factuality"]
    assert (figures["labels"], figures["drawn"]) == (60, 30)
    assert figures["low"] <= traffic.rate() <= figures["high"]


async def test_a_time_and_a_profile_select_answers(store, traffic, clock):
    clock.move(days=2)
    assert await load_traffic(store, clock.now) == []
    assert {answer.profile for answer in await load_traffic(store, profile="short")} == {"short"}


async def test_old_imported_and_unscored_answers_are_not_drawn(store, answer, clock):
    await store.record([answer("old", SENTENCE, profile="long")], [scored("old", [0.5])])
    clock.move(days=31)
    await store.record(
        [answer("unscored", SENTENCE), answer("imported", SENTENCE, source="imported"), answer("new", SENTENCE)],
        [scored(name, [0.5]) for name in ("imported", "new")],
    )  # fmt: skip
    assert (await store.progress("Ann", "annotation", "error_rate")).left == 1
    assert (await store.next_response_for("Ann", "error_rate")).response.id == "new"
    await store.skip("Ann", "new", "")
    assert await store.next_response_for("Ann", "error_rate") is None


async def test_people_who_differ_count_half_each(store, traffic):
    await store.sign_in("Bob")
    (response,) = await annotate(store, traffic, "sampled", 1)
    wrong = traffic.truth[int(response.id[1:])]
    await store.submit(
        Annotation(submission_id="b", response_id=response.id, annotator="Bob", errors=(), corrected=None)
        if wrong.any()
        else Annotation(
            submission_id="b", response_id=response.id, annotator="Bob", corrected="It is.",
            errors=(Span(label="Unverifiable", start=0, end=17),),
        )
    )  # fmt: skip
    (labelled,) = [answer.answer for answer in await load_traffic(store) if answer.answer.judged]
    assert labelled.judged["factuality"].errors == max(wrong.sum(), 1) / 2


async def test_other_reward_models_are_corrected_by_their_own_scores_alone(store, traffic):
    """The models that scored all answers so far are replaced: their threshold says nothing of the new ones' ratio."""
    await annotate(store, traffic, "sampled", 60)
    old = error_rates(await load_traffic(store), rewards="v")["factuality"]
    assert old["correction"] == pytest.approx(old["estimate"] - old["flagged"], abs=1e-3)
    replaced = error_rates(await load_traffic(store), rewards="w")["factuality"]
    assert (replaced["estimate"], replaced["correction"]) == (old["estimate"], 0)
    scores = [scored(f"r{n}", np.where(traffic.truth[n], 0.9, 0.1)) for n in range(60, 240)]
    await store.record([], [new.model_copy(update={"rewards": "w"}) for new in scores])
    new = error_rates(await load_traffic(store), rewards="w")["factuality"]
    share = np.concatenate(traffic.truth[60:]).mean()
    assert new["correction"] == pytest.approx(new["estimate"] - share, abs=1e-3)


async def test_a_service_shows_the_estimates_as_metrics(url, answer):
    """Uncalibrated until enough is labelled: the models' own ratio, and an interval that says nothing."""
    traffic, metrics = Traffic(answer, 120), Metrics()
    labels = {"profile": "long", "category": "factuality"}
    runtime = FeedbackRuntime(
        Settings(feedback_store=url),
        metrics.feedback,
        metrics.agreement,
        metrics.error_rates,
        lambda: Versions("v", None),
    )

    def shown(name):
        return metrics.registry.get_sample_value(f"fg_error_rate_{name}", labels)

    await runtime.start()
    try:
        await runtime.store.record(traffic.answers, traffic.scores)
        await runtime.update_error_rates()
        assert [shown(name) for name in ("calibrated", "low", "high", "correction", "labels")] == [0, 0, 1, 0, 0]
        flagged = shown("estimate")
        await runtime.store.sign_in("Ann")
        await annotate(runtime.store, traffic, "error_rate", 50)
        await runtime.update_error_rates()
        assert (shown("calibrated"), shown("labels")) == (1, 25)
        assert shown("low") < shown("estimate") < shown("high") < flagged
        assert shown("estimate") == pytest.approx(traffic.rate("long"), abs=0.06)
        assert shown("correction") == pytest.approx(shown("estimate") - flagged, abs=1e-3)
        assert shown("newest_label_timestamp_seconds") > 1.7e9
    finally:
        await runtime.stop()
