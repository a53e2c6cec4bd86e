"""What somebody needs who annotates two hundred answers a day."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ANSWERS, WIDTHS, overflows
from tests.browser.steps import PLACE, begin, press, read

LONG = " ".join([ANSWERS["medium"]] * 12)
KINDS = ("clean", "wrong height", "clean", "hearsay", "clean", "missing", "clean", "wrong height", "clean", "skip")
"""What ten answers are like, one after another."""
TEXTS = {
    "clean": ANSWERS["short"],
    "wrong height": "The lighthouse is 41 metres tall, and a climb takes 164 steps. It stands on Gull Point.",
    "hearsay": "The lighthouse is 31 metres tall. The keeper's cottage is a museum, which many people like.",
    "missing": "It is a tower on Gull Point.",
    "skip": "I am sorry, I cannot say that.",
}
CORRECTED = {
    "wrong height": "It is 31 metres tall.",
    "hearsay": "It is 31 metres tall.",
    "missing": "It is 31 metres tall.",
}
STORED = {
    "clean": ((), (), None),
    "wrong height": ((("Wrong-Grounding", "41 metres"),), (), CORRECTED["wrong height"]),
    "hearsay": ((("Irrelevant", "which many people like."),), (), CORRECTED["hearsay"]),
    "missing": ((), (("Missing-Answer", 1, (3,)),), CORRECTED["missing"]),
}
"""Marks, missing information and correction."""


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


@pytest.mark.parametrize("width", WIDTHS)
def test_what_was_done_is_said_beside_the_next_answer_and_moves_nothing(running, open_page, shots, width):
    running.keep(ANSWERS["medium"], ANSWERS["short"])
    page = begin(open_page, running, width=width, touch=width < 500)
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#done")).to_be_in_viewport(ratio=1)
    read(page)
    page.screenshot(path=shots / f"submitted-{width}.png")
    done, question = (page.locator(place).bounding_box() for place in ("#done", "#question"))
    assert done["y"] + done["height"] <= question["y"]
    page.locator("#done").evaluate("e => { e.hidden = true; }")
    assert page.locator("#question").bounding_box() == question


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


class Hand:
    """Presses keys and taps, and counts what it does for each kind of answer. Letters of corrections count apart."""

    def __init__(self, page):
        self.page, self.acts, self.letters = page, 0, 0

    def keys(self, *keys):
        self.acts += len(keys)
        press(self.page, *keys)

    def tap(self, locator):
        self.acts += 1
        locator.tap()

    def select(self, text, part):
        """Press a word for long, and move the two handles."""
        self.acts += 3
        start = text.index(part)
        place = f"([a, b]) => getSelection().setBaseAndExtent(...({PLACE})(a), ...({PLACE})(b))"
        self.page.evaluate(place, [start, start + len(part)])

    def write(self, text):
        self.letters += len(text)
        self.page.get_by_label("Corrected response").press_sequentially(text)


def by_keyboard(hand, kind):
    if kind == "skip":
        hand.keys("s", "Enter")
        return
    if kind == "wrong height":
        hand.keys(*["ArrowRight"] * 3, "Shift+ArrowRight", "4")
    if kind == "hearsay":
        hand.keys("End", *["Shift+ArrowLeft"] * 3, "1")
    if kind == "missing":
        hand.keys("Shift+Tab", *["ArrowDown"] * 3, "6")
    if kind == "clean":
        hand.keys("Enter")
        return
    hand.keys("c", "Control+a")
    hand.write(CORRECTED[kind])
    hand.keys("Control+Enter")


def by_touch(hand, kind):
    page = hand.page
    if kind == "skip":
        hand.tap(page.get_by_role("button", name="Skip …"))
        hand.tap(page.get_by_role("button", name="I cannot judge it"))
        return
    if kind in ("wrong height", "hearsay"):
        ((label, part),) = STORED[kind][0]
        hand.select(TEXTS[kind], part)
        hand.tap(page.locator("#palette").get_by_role("button", name=label))
    if kind == "missing":
        hand.tap(page.locator("#passages").get_by_role("option").nth(3))
        hand.tap(page.locator("#palette").get_by_role("button", name="Missing-Answer"))
    if kind != "clean":
        hand.tap(page.get_by_label("Corrected response"))
        press(page, "Control+a")  # "select all" of the phone's own menu
        hand.acts += 2
        hand.write(CORRECTED[kind])
    hand.tap(page.get_by_role("button", name="Submit"))


def test_a_day_of_forty_answers_thirty_by_keyboard_and_ten_on_a_phone(running, open_page, shots):
    ids = running.keep(*(TEXTS[kind] for kind in KINDS * 4))
    kinds = dict(zip(ids, KINDS * 4, strict=True))
    for width, count, act in ((1280, 30, by_keyboard), (380, 10, by_touch)):
        page = open_page(running.url + "/annotate", width=width, touch=width < 500)
        page.clock.install()
        page.get_by_label("Your name").fill("ada")
        page.keyboard.press("Enter")
        spent = {}
        for number in range(1, count + 1):
            status = page.locator("#status")
            expect(page.locator("#task:not([inert])")).to_be_visible()
            shown = status.inner_text()
            kind = kinds[shown.removeprefix("Response ")]
            page.clock.fast_forward(700)  # the time in which nothing can be decided
            if number % 10 == 0:
                page.screenshot(path=shots / f"day-{width}-{number}.png")
            assert overflows(page) <= 0
            hand = Hand(page)
            act(hand, kind)
            expect(status).not_to_have_text(shown)
            spent.setdefault(kind, set()).add((hand.acts, hand.letters))
        print(f"{width} px: presses or taps, and letters of corrections:", spent)
        assert all(len(effort) == 1 for effort in spent.values())
    expect(page.locator("#status")).to_contain_text("nothing left to annotate")
    expect(page.locator("#progress")).to_contain_text("36 today, 36 in all; 0 left")
    stored = {}
    for annotation in running.annotations():
        text = TEXTS[kinds[annotation.response_id]]
        marks = tuple((error.label, text[error.start : error.end]) for error in annotation.errors)
        missing = tuple((gap.label, gap.passage_id, gap.sentence_id) for gap in annotation.missing)
        stored[annotation.response_id] = (marks, missing, annotation.corrected)
    assert stored == {name: STORED[kind] for name, kind in kinds.items() if kind != "skip"}
    assert running.do(running.store.figures()).skips["annotation"] == {"cannot_judge": 4}
