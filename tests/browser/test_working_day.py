"""What somebody needs who annotates two hundred answers a day."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ANSWERS, WIDTHS, overflows
from tests.browser.steps import begin, press, read

LONG = " ".join([ANSWERS["medium"]] * 12)


def test_an_annotator_sees_what_is_done_and_left(running, open_page):
    running.keep(*(f"{ANSWERS['medium']} {i}" for i in range(3)))
    page = begin(open_page, running)
    expect(page.locator("#progress")).to_have_text("0 today, 0 in all; 3 left")
    press(page, "Enter")
    expect(page.locator("#progress")).to_have_text("1 today, 1 in all; 2 left")
    page = begin(open_page, running, path="/compare")
    expect(page.locator("#progress")).to_have_text("0 today, 0 in all; 3 left")
    press(page, "3")
    expect(page.locator("#progress")).to_have_text("1 today, 1 in all; 2 left")


def test_the_profile_is_shown_only_after_the_answer_is_submitted(running, open_page):
    running.keep(ANSWERS["medium"], ANSWERS["short"])
    page = begin(open_page, running)
    assert "medium" not in page.locator("main").inner_text()
    press(page, "Enter")
    expect(page.locator("#done")).to_contain_text("it was by “medium”")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_answers_done_last_can_be_gone_back_to(running, open_page, axe, shots, width):
    ids = running.keep(ANSWERS["medium"], ANSWERS["short"], ANSWERS["long"])
    page = begin(open_page, running, width=width)
    expect(page.locator("#last")).to_be_hidden()
    first = page.locator("#status").inner_text()
    option = page.locator("#passages").get_by_role("option").nth(3)
    option.click()
    press(page, "7")
    page.locator("#response").focus()
    press(page, "5")
    page.get_by_role("textbox", name="Why Unverifiable").fill("Nobody says so.")
    page.get_by_label("Corrected response").fill("Better.")
    press(page, "Control+Enter")
    expect(page.locator("#status")).not_to_have_text(first)
    read(page)
    page.get_by_role("button", name="Skip …").click()
    page.get_by_role("button", name="I cannot judge it").click()
    page.get_by_text("My last answers").click()
    rows = page.locator("#last li")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("skipped · by “medium”")
    expect(rows.last).to_contain_text("2 marks · by “medium”")
    page.screenshot(path=shots / f"last-answers-{width}.png")
    assert axe(page) == []  # "Skipped. Undo" is still shown
    assert overflows(page) <= 0
    rows.last.get_by_role("button").click()
    expect(page.locator("#status")).to_have_text(first)
    expect(page.locator("#marks strong")).to_have_text(["Unverifiable", "Missing-Major-Auxiliary"])
    expect(page.get_by_role("textbox", name="Why Unverifiable")).to_have_value("Nobody says so.")
    expect(page.get_by_label("Corrected response")).to_have_value("Better.")
    expect(option).to_have_attribute("aria-selected", "true")
    page.get_by_role("button", name="Remove Unverifiable").click()
    read(page)
    page.get_by_label("Corrected response").press("Control+Enter")
    expect(page.locator("#status")).not_to_have_text(first)
    old, new = running.annotations()
    assert (old.version, len(old.errors), new.version, len(new.errors), new.corrected) == (1, 1, 2, 0, "Better.")
    assert new.response_id == f"{first.removeprefix('Response ')}"
    assert new.response_id in ids


@pytest.mark.parametrize("width", WIDTHS)
def test_the_labels_stay_in_sight_on_a_long_answer_and_say_what_they_mean(running, open_page, axe, shots, width):
    running.keep(LONG)
    page = begin(open_page, running, width=width)
    label = page.get_by_role("button", name="Irrelevant").first
    expect(label).to_be_in_viewport(ratio=1)
    expect(label).to_have_attribute("title", "It does not help to answer the question.")
    press(page, "ArrowDown", "ArrowDown")
    page.screenshot(path=shots / f"labels-in-sight-{width}.png")
    page.locator("#passages").get_by_role("option").nth(2).click()
    expect(page.get_by_role("button", name="Missing-Answer")).to_be_in_viewport(ratio=1)
    page.get_by_text("What the labels mean").click()
    expect(page.locator(".meanings")).to_contain_text("It contradicts the passages.")
    assert axe(page) == []
    assert overflows(page) <= 0


@pytest.mark.parametrize("width", WIDTHS)
def test_the_next_answer_opens_at_its_top(running, open_page, width):
    running.keep(LONG, f"{LONG} Again.")
    page = begin(open_page, running, width=width)
    shown = page.locator("#status").inner_text()
    page.get_by_role("button", name="Submit").scroll_into_view_if_needed()
    page.locator("#passages").get_by_role("option").last.scroll_into_view_if_needed()
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#status")).not_to_have_text(shown)
    expect(page.locator("#question")).to_be_in_viewport(ratio=1)
    expect(page.locator("#passages").get_by_role("option").first).to_be_in_viewport(ratio=1)
    expect(page.locator("#response")).to_be_focused()
    expect(page.locator("#response .selected").first).to_be_in_viewport()


def test_two_tabs_of_one_person_do_not_show_each_others_draft_as_lost(running, open_page):
    running.keep(ANSWERS["medium"], ANSWERS["short"])
    first = begin(open_page, running)
    second = begin(open_page, running)
    assert first.locator("#status").inner_text() == second.locator("#status").inner_text()
    press(first, "4")
    first.get_by_label("Corrected response").fill("Better.")
    press(first, "Control+Enter")
    expect(first.locator("#done")).to_be_visible()
    second.reload()
    expect(second.locator("#task")).to_be_visible()
    assert second.locator("#status").inner_text() == first.locator("#status").inner_text()
