"""Keys that are held, pressed twice or pressed in the wrong place decide nothing by mistake."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ANSWERS
from tests.browser.steps import ask, begin, hold, press, read

TEXT = ANSWERS["medium"]


def comparisons(running):
    return running.do(running.store.comparisons()).items


def test_enter_that_is_held_or_pressed_twice_submits_one_answer(running, open_page):
    running.keep(*(f"{TEXT} {i}" for i in range(7)))
    page = begin(open_page, running)
    hold(page, "Enter", times=12)
    expect(page.locator("#done")).to_contain_text("Submitted")
    read(page)
    assert len(running.annotations()) == 1
    press(page, "Enter", "Enter")
    page.wait_for_timeout(1000)
    read(page)
    assert len(running.annotations()) == 2
    page.get_by_role("button", name="Submit").dblclick()
    page.wait_for_timeout(1000)
    read(page)
    assert len(running.annotations()) == 3


def test_keys_on_a_passage_or_elsewhere_do_not_submit(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running)
    page.locator("#passages").get_by_role("option").nth(2).click()
    press(page, "Enter")
    page.locator("#question").click()
    press(page, "Enter", "1")
    page.wait_for_timeout(500)
    assert running.annotations() == ()
    expect(page.locator("#marks")).to_be_hidden()
    page.locator("#passages").get_by_role("option").nth(2).click()
    press(page, "c")
    expect(page.get_by_label("Corrected response")).to_be_focused()
    press(page, "Escape")
    expect(page.locator("#response")).to_be_focused()


def test_a_held_digit_marks_once(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running)
    hold(page, "1")
    expect(page.locator("#marks strong")).to_have_text(["Irrelevant"])
    hold(page, "Backspace")
    expect(page.locator("#marks")).to_be_hidden()


def test_a_held_digit_decides_one_pair(running, open_page):
    running.keep(*(f"Answer {i}." for i in range(4)))
    page = begin(open_page, running, path="/compare")
    hold(page, "1", times=12)
    read(page)
    assert len(comparisons(running)) == 1
    press(page, "2", "2")
    page.wait_for_timeout(1000)
    assert len(comparisons(running)) == 2
    page.get_by_role("button", name="Key, none given").click()
    press(page, "1")
    press(page, "Escape")
    page.get_by_label("Your name").focus()
    press(page, "1")
    page.wait_for_timeout(300)
    assert len(comparisons(running)) == 2


def test_a_held_digit_judges_one_sentence_and_ctrl_z_takes_the_last_back(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running, path="/judge")
    sent, asked = [], page.locator("#sentence")
    page.on("request", lambda r: sent.append(r.post_data_json) if r.url.endswith("/annotation/judgements") else None)
    hold(page, "1", times=12)
    expect(asked).to_have_text(re.compile("^Sentence 2 of 3"))
    name = page.get_by_label("Your name")
    name.focus()
    press(page, "2", "Backspace")
    page.wait_for_timeout(300)
    expect(asked).to_have_text(re.compile("^Sentence 2 of 3"))
    expect(name).to_have_value("ada")
    page.locator("#passages").focus()
    press(page, "2")
    expect(asked).to_have_text(re.compile("^Sentence 3 of 3"))
    page.keyboard.down("Control")
    hold(page, "z")
    page.keyboard.up("Control")
    expect(asked).to_have_text(re.compile("^Sentence 2 of 3"))
    press(page, "3", "2")
    expect(page.locator("#done")).to_contain_text("Saved")
    expect(page.locator("#task")).to_be_hidden()
    press(page, "Control+z")
    expect(asked).to_have_text(re.compile("^Sentence 3 of 3"))
    read(page)
    press(page, "1")
    expect(page.locator("#done")).to_contain_text("Saved")
    verdicts = [[sentence["supported"] for sentence in judgement["sentences"]] for judgement in sent]
    assert verdicts == [[True, None, False], [True, None, True]]


@pytest.mark.parametrize("by", ["button", "key"])
def test_a_submission_is_taken_back_and_replaced(running, open_page, by):
    running.keep(TEXT, ANSWERS["short"])
    page = begin(open_page, running)
    shown = page.locator("#status").inner_text()
    press(page, "Enter")
    expect(page.locator("#done")).to_have_text("Submitted; it was by “medium”. Undo Ctrl Z")
    expect(page.locator("#status")).not_to_have_text(shown)
    if by == "button":
        page.get_by_role("button", name="Undo").first.click()
    else:
        press(page, "Control+z")
    expect(page.locator("#status")).to_have_text(shown)
    expect(page.locator("#done")).to_be_hidden()
    read(page)
    press(page, "4")
    page.get_by_label("Corrected response").fill("Better.")
    press(page, "Control+Enter")
    expect(page.locator("#status")).not_to_have_text(shown)
    first, second = running.annotations()
    assert (first.response_id, first.version, len(first.errors)) == (second.response_id, 1, 0)
    assert (second.version, len(second.errors)) == (2, 1)


def test_undo_is_offered_for_ten_seconds(running, open_page):
    running.keep(TEXT, ANSWERS["short"])
    page = begin(open_page, running)
    page.clock.install()
    press(page, "Enter")
    expect(page.locator("#done")).to_be_visible()
    page.clock.run_for(9_000)
    expect(page.locator("#done")).to_be_visible()
    page.clock.run_for(2_000)
    expect(page.locator("#done")).to_be_hidden()


def test_a_choice_and_a_skip_are_taken_back(running, open_page):
    running.keep("Answer 0.", "Answer 1.", "Answer 2.")
    page = begin(open_page, running, path="/compare")
    shown = page.locator(".pair").inner_text()
    press(page, "4")
    expect(page.locator("#done")).to_contain_text("Saved.")
    press(page, "Control+z")
    expect(page.locator(".pair")).to_have_text(shown, use_inner_text=True)
    read(page)
    page.get_by_role("button", name="Skip …").click()
    page.get_by_role("button", name="The passages are broken").click()
    expect(page.locator("#done")).to_contain_text("Skipped.")
    assert [comparison.choice for comparison in comparisons(running)] == ["neither"]
    assert running.do(running.store.figures()).skips["comparison"] == {"broken_passages": 1}
    page.get_by_role("button", name="Undo").click()
    read(page)
    press(page, "1")
    expect(page.locator("#done")).to_contain_text("Saved.")
    assert running.do(running.store.figures()).skips["comparison"] == {}


def test_enter_in_the_skip_dialog_stores_the_words_typed(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running)
    page.get_by_role("button", name="Skip …").click()
    page.get_by_label("Or in your words").fill("It is about my own town.")
    press(page, "Enter")
    expect(page.locator("#task")).to_be_hidden()
    assert running.do(running.store.figures()).skips["annotation"] == {"own_words": 1}


@pytest.mark.parametrize("path", ["/annotate", "/compare"])
def test_a_key_asks_why_an_answer_or_a_pair_is_skipped(running, open_page, path):
    running.keep("Answer 0.", "Answer 1.")
    page = begin(open_page, running, path=path)
    page.get_by_label("Your name").focus()
    press(page, "s", "Backspace")
    expect(page.locator("#skip-dialog")).to_be_hidden()
    page.locator("#question, #response").last.focus()
    hold(page, "s")
    expect(page.locator("#skip-dialog")).to_be_visible()
    page.get_by_label("Or in your words").fill("It is about my own town.")
    press(page, "Enter")
    expect(page.locator("#done")).to_contain_text("Skipped.")
    kind = {"/annotate": "annotation", "/compare": "comparison"}[path]
    assert running.do(running.store.figures()).skips[kind] == {"own_words": 1}


def test_enter_held_on_the_skip_button_does_not_skip(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running)
    page.get_by_role("button", name="Skip …").focus()
    hold(page, "Enter")
    expect(page.locator("#skip-dialog")).to_be_visible()
    page.get_by_role("button", name="Back").click()
    expect(page.locator("#skip-dialog")).to_be_hidden()
    expect(page.locator("#task")).to_be_visible()


def test_a_held_key_asks_once_and_gives_one_thumb(running, open_page):
    page = open_page(running.url)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/generate" in request.url else None)
    page.get_by_label("Question").focus()
    hold(page, "Enter")
    expect(page.locator("#text-a .piece").first).to_be_visible()
    assert len(asked) == 1
    page.get_by_role("button", name="Thumbs up").focus()
    hold(page, "Enter", times=5)
    expect(page.get_by_role("button", name="Thumbs up")).to_have_attribute("aria-pressed", "true")
    ask(page)
    assert [feedback.thumb for feedback in running.do(running.store.quick_feedback_page()).items] == [1]
