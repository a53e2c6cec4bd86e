"""The agreement page: what people agree on, in figures and words."""

import pytest
from playwright.sync_api import expect

from service.feedback.records import Annotation, Comparison, NewResponse, QuickFeedback, Span, StoredPassage
from tests.browser.conftest import ANSWERS, WIDTHS, overflows
from tests.browser.steps import begin

PASSAGE = StoredPassage(title="Tower", text="It is 31 metres tall.", sentences=("It is 31 metres tall.",))


@pytest.fixture
def judged(running):
    """Two people who mark different sentences, comparisons, thumbs and skips."""
    do, store = running.do, running.store
    for name, text, policy in (("r1", ANSWERS["medium"], "aaaaaaaaaaaa"), ("r2", ANSWERS["short"], "bbbbbbbbbbbb")):
        response = NewResponse(
            id=name, text=text, question="How tall is <b>it</b>?", passages=(PASSAGE,), profile="medium", policy=policy
        )
        do(store.record_response(response))
    text = ANSWERS["medium"]
    for name, part in (
        ("ada", "The lighthouse is 41 metres tall"),
        ("<i>bo</i>", "It was built between 1841 and 1844"),
    ):
        do(store.sign_in(name))
        span = Span(label="Wrong-Grounding", start=text.index(part), end=text.index(part) + len(part))
        annotation = Annotation(
            submission_id=name, response_id="r1", annotator=name, errors=(span,), corrected="It is 31 metres tall."
        )
        do(store.submit(annotation))
    do(store.compare(Comparison(submission_id="c", a="r1", b="r2", choice="b", annotator="ada")))
    do(store.quick_feedback(QuickFeedback(submission_id="q", response_id="r2", caller="x", thumb=1)))
    do(store.sign_in("cy"))
    do(store.skip("cy", "r2", "The passages are broken"))
    return running


@pytest.mark.parametrize("width", WIDTHS)
def test_it_says_in_words_what_the_figures_mean_and_what_to_talk_about(judged, open_page, axe, shots, width):
    page = open_page(judged.url + "/agreement", width=width)
    verdicts = page.locator(".verdicts")
    expect(verdicts).to_contain_text("Not enough, and no better than chance")
    expect(verdicts).to_contain_text("(Only 1 shared: let two people annotate more.)")
    answer = page.locator(".differing > li")
    expect(answer).to_have_count(1)
    expect(answer).to_contain_text("How tall is <b>it</b>?")
    expect(answer).to_contain_text("<i>bo</i>")
    expect(answer).to_contain_text("Wrong-Grounding: “It was built between 1841 and 1844”")
    people = page.get_by_role("region", name="Each person with everybody else")
    expect(people.get_by_role("row", name="ada")).to_contain_text("ada11")
    expect(people.get_by_role("row", name="cy")).to_contain_text("cy001")
    versions = page.get_by_role("region", name="Thumbs and comparisons by version")
    expect(versions.get_by_role("row", name="medium bbbbbb")).to_have_text("medium bbbbbb10100")
    expect(page.get_by_role("region", name="Skipped, by reason")).to_contain_text("The passages are broken10")
    page.screenshot(path=shots / f"agreement-words-{width}.png", full_page=True)
    assert axe(page) == []
    assert overflows(page) <= 0


def test_an_answer_that_people_differ_on_opens_with_ones_own_marks(judged, open_page):
    page = begin(open_page, judged)
    page.goto(judged.url + "/agreement")
    page.get_by_role("link", name="How tall is <b>it</b>?").click()
    expect(page.locator("#status")).to_have_text("Response r1")
    expect(page.locator("#marks q")).to_have_text("The lighthouse is 41 metres tall")
