"""The quick task: whether the passages support each sentence of an answer that was drawn for the error rate."""

import pytest

from service.errors import InvalidRequest
from service.feedback.quality.from_store import load_traffic
from service.feedback.quality.report import error_rates
from service.feedback.records import JudgedSentence, Judgement, NewScores

pytestmark = pytest.mark.anyio
TEXT = "It is red. It is tall. It is old."
SPANS = ((0, 10), (11, 22), (23, 33))


@pytest.fixture
async def drawn(store, answer):
    """Twelve scored answers of three sentences."""
    segments = [{"start": a, "end": b, "error_probability": 0.6, "error": True} for a, b in SPANS]
    scores = {"scores": {"factuality": {"segments": segments}}, "in_domain": True, "notes": []}
    names = [f"r{n}" for n in range(12)]
    await store.record(
        [answer(name, TEXT, policy="v1") for name in names],
        [NewScores(response_id=name, rewards="v", scored=scores) for name in names],
    )
    return store


def judgement(response_id, *supported, annotator="Ann"):
    sentences = [JudgedSentence(start=a, end=b, supported=says) for (a, b), says in zip(SPANS, supported, strict=False)]
    return Judgement(response_id=response_id, annotator=annotator, sentences=tuple(sentences))


async def judged(store):
    return [traffic for traffic in await load_traffic(store) if traffic.answer.judged]


async def test_judged_sentences_are_labels_with_their_probability(drawn):
    for _ in range(11):
        assignment = await drawn.next_response_for("Ann", "error_rate", quick=True)
        await drawn.judge(judgement(assignment.response.id, True, False, None))
    labelled = await judged(drawn)
    totals = [traffic.answer.judged["factuality"] for traffic in labelled]
    assert {(total.segments, total.errors) for total in totals} == {(2, 1)}
    assert all(traffic.answer.probability > 0 and traffic.labelled_at is not None for traffic in labelled)
    figures = error_rates(await load_traffic(drawn))["factuality"]
    assert (figures["drawn"], figures["estimate"]) == (11, 0.5)
    progress = await drawn.progress("Ann", "judgement", "error_rate")
    assert (progress.done, progress.left) == (11, 1)


async def test_a_second_judgement_replaces_the_first_and_an_annotation_both(drawn, annotation):
    assignment = await drawn.next_response_for("Ann", "error_rate", quick=True)
    name = assignment.response.id
    for says in (False, True):
        await drawn.judge(judgement(name, says, says, says))
    (traffic,) = await judged(drawn)
    assert traffic.answer.judged["factuality"].errors == 0
    await drawn.submit(annotation(response_id=name, errors=(), missing=(), corrected=None))
    (traffic,) = await judged(drawn)
    assert traffic.answer.judged["factuality"].segments == 3


async def test_who_cannot_tell_anything_skips_the_answer(drawn):
    name = (await drawn.next_response_for("Ann", "error_rate", quick=True)).response.id
    await drawn.judge(judgement(name, None, None, None))
    assert await judged(drawn) == []
    assert (await drawn.figures()).skips["annotation"] == {"cannot_judge": 1}
    assert (await drawn.next_response_for("Ann", "error_rate", quick=True)).response.id != name


async def test_a_draft_of_an_annotation_is_neither_offered_nor_lost(drawn):
    name = (await drawn.next_response_for("Ann", "error_rate")).response.id
    await drawn.save_draft("Ann", name, {"half": "done"})
    assert (await drawn.next_response_for("Ann", "error_rate", quick=True)).response.id != name
    for says in (True, None):
        await drawn.judge(judgement(name, says, says, says))
        again = await drawn.open_again("Ann", name)
        assert (again.state, again.draft) == ("drafted", {"half": "done"})


async def test_an_annotated_answer_is_not_skipped_by_who_cannot_tell_its_sentences(drawn, annotation):
    name = (await drawn.next_response_for("Ann", "error_rate")).response.id
    await drawn.submit(annotation(response_id=name, errors=(), missing=(), corrected=None))
    await drawn.judge(judgement(name, None, None, None))
    assert (await drawn.open_again("Ann", name)).state == "submitted"
    assert (await drawn.figures()).skips["annotation"] == {}


async def test_two_people_count_half_each(drawn):
    await drawn.sign_in("Bob")
    name = (await drawn.next_response_for("Ann", "error_rate", quick=True)).response.id
    await drawn.judge(judgement(name, True, True, True))
    await drawn.judge(judgement(name, False, True, None, annotator="Bob"))
    (traffic,) = await judged(drawn)
    assert (traffic.answer.judged["factuality"].segments, traffic.answer.judged["factuality"].errors) == (3, 0.5)


@pytest.mark.parametrize(("start", "end"), [(0, 34), (5, 5), (30, 20)])
async def test_a_sentence_outside_the_answer_is_refused(drawn, start, end):
    sentence = JudgedSentence(start=start, end=end, supported=True)
    with pytest.raises(InvalidRequest, match="code points inside it"):
        await drawn.judge(Judgement(response_id="r1", annotator="Ann", sentences=(sentence,)))
    assert await judged(drawn) == []
