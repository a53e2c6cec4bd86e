"""Annotating and comparing in a browser."""

import itertools

import pytest
from playwright.sync_api import expect

from rewards.dataset import SAMPLE, load_feedback
from service.feedback.records import NewResponse, StoredPassage
from tests.browser.conftest import ANSWERS, WIDTHS, overflows
from tests.browser.steps import PLACE, begin, correct, press, read

TEXT = ANSWERS["medium"]


def utf16(text, point):
    return len(text[:point].encode("utf-16-le")) // 2


def part(annotation, text, index=0):
    return text[annotation.errors[index].start : annotation.errors[index].end]


def test_a_response_is_annotated_by_keyboard_alone(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running)
    expect(page.locator("#response")).to_be_focused()
    press(page, *["ArrowRight"] * 3, "Shift+ArrowRight", "Shift+ArrowRight")  # "41 metres tall,"
    expect(page.locator("#said")).to_have_text("“41 metres tall,”")
    press(page, "4")
    expect(page.locator("#marks")).to_contain_text("Wrong-Grounding")
    expect(page.locator("#suggestions")).to_contain_text("many people")
    press(page, "End", "2")  # accepts the suggestion, which says Irrelevant, as Redundant
    expect(page.locator("#suggestions")).to_be_hidden()
    press(page, "Enter")
    expect(page.get_by_role("alert").get_by_role("listitem")).to_have_text(
        "Errors or missing information are marked, but the response is not corrected; correct it."
    )
    assert running.annotations() == ()
    press(page, "Shift+Tab", *["ArrowDown"] * 3, "7")
    expect(page.locator("#passages").get_by_role("option", selected=True)).to_contain_text(
        "The tower is 31 metres tall"
    )
    correct(page, "It is 31 metres tall.")
    expect(page.locator("#status")).to_contain_text("nothing left to annotate")
    (stored,) = running.annotations()
    assert [(e.label, part(stored, TEXT, i)) for i, e in enumerate(stored.errors)] == [
        ("Wrong-Grounding", "41 metres tall,"),
        ("Redundant", "The keeper's cottage is a museum, which many people like."),
    ]
    assert [(m.label, m.passage_id, m.sentence_id) for m in stored.missing] == [("Missing-Major-Auxiliary", 1, (3,))]
    assert stored.corrected == "It is 31 metres tall."
    assert {s.category: s.outcome for s in stored.suggestions} == {"relevance": "changed", "factuality": "changed"}
    assert stored.annotator == "ada"


def test_spans_are_marked_by_mouse_and_counted_in_code_points(running, open_page):
    text = "The 🗼 tower 👩‍🔬 of Évora is é old. It is tall."
    running.keep(text)
    page = begin(open_page, running)
    start = text.index("Évora")
    select = f"""() => {{
      const [from, to] = [({PLACE})({utf16(text, start)}), ({PLACE})({utf16(text, start + len("Évora is é old. "))})];
      getSelection().setBaseAndExtent(...from, ...to);
    }}"""
    page.evaluate(select)
    page.get_by_role("button", name="Unverifiable").click()
    page.get_by_label("Corrected response").fill("It is tall.")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#task")).to_be_hidden()
    (stored,) = running.annotations()
    assert part(stored, text) == "Évora is é old."


def test_dragging_the_mouse_over_words_selects_them(running, open_page):
    running.keep("One two three four.")
    page = begin(open_page, running)
    word = page.evaluate(
        f"""() => {{
          const range = document.createRange();
          range.setStart(...({PLACE})(4));
          range.setEnd(...({PLACE})(13));
          const {{left, right, top, bottom}} = range.getBoundingClientRect();
          return {{left, right, y: (top + bottom) / 2}};
        }}"""
    )
    page.mouse.move(word["left"] + 1, word["y"])
    page.mouse.down()
    page.mouse.move(word["right"] - 1, word["y"], steps=5)
    page.mouse.up()
    press(page, "1")
    expect(page.locator("#marks q")).to_have_text("two three")


def test_suggestions_are_accepted_and_rejected_and_both_can_be_undone(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running)
    suggestions = page.locator("#suggestions li")
    expect(suggestions).to_have_count(2)
    suggestions.filter(has_text="41 metres").get_by_role("button", name="Wrong-Grounding").click()
    expect(suggestions).to_have_count(1)
    suggestions.get_by_role("button", name="Reject").click()
    expect(suggestions).to_have_count(0)
    press(page, "Control+z")
    expect(suggestions).to_have_count(1)
    page.locator("#response").focus()
    press(page, "End", "Backspace")
    expect(suggestions).to_have_count(0)
    press(page, "Home", "Backspace")
    expect(page.locator("#marks")).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    page.get_by_label("Why Wrong-Grounding").fill("Passage 1, sentence 3")
    page.get_by_label("Corrected response").fill("31 metres.")
    press(page, "Control+Enter")
    expect(page.locator("#task")).to_be_hidden()
    (stored,) = running.annotations()
    assert {s.category: s.outcome for s in stored.suggestions} == {"relevance": "rejected", "factuality": "accepted"}
    assert [(e.label, e.explanation) for e in stored.errors] == [("Wrong-Grounding", "Passage 1, sentence 3")]


def test_a_passages_title_is_marked_as_missing_like_its_sentences(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running)
    passages = page.locator("#passages")
    first, second = (
        passages.get_by_role("listbox", name=name).get_by_role("option") for name in ("Passage 1", "Passage 2")
    )
    expect(first.first).to_have_text("Aldermouth Lighthouse")
    page.keyboard.press("Shift+Tab")
    expect(first.first).to_be_focused()
    press(page, "8")
    expect(page.locator("#said")).to_have_text("passage 1, title: Missing-Minor-Auxiliary marked")
    second.first.click()
    page.get_by_role("button", name="Missing-Answer").click()
    press(page, "ArrowDown", "6")
    expect(passages.get_by_role("option", selected=True)).to_have_count(3)
    expect(page.locator("#marks")).to_contain_text("passage 2, title, sentence 1")
    page.get_by_label("Corrected response").fill("The Aldermouth Lighthouse.")
    press(page, "Control+Enter")
    expect(page.locator("#task")).to_be_hidden()
    (stored,) = running.annotations()
    assert [(m.label, m.passage_id, m.sentence_id) for m in stored.missing] == [
        ("Missing-Minor-Auxiliary", 1, (0,)),
        ("Missing-Answer", 2, (0, 1)),
    ]


def test_digits_mark_the_response_again_after_a_sentence_was_marked(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running)
    press(page, "Shift+Tab", "6", "Tab", "5")
    expect(page.locator("#marks strong")).to_have_text(["Unverifiable", "Missing-Answer"])
    page.get_by_role("button", name="Remove Missing-Answer, passage 1, title").click()
    expect(page.locator("#marks strong")).to_have_text(["Unverifiable"])
    expect(page.locator("#passages").get_by_role("option", selected=True)).to_have_count(0)
    press(page, "Control+z")
    expect(page.locator("#marks strong")).to_have_text(["Unverifiable", "Missing-Answer"])


def test_broken_rules_are_shown_as_sentences(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running)
    press(page, "Shift+ArrowDown", "1", "ArrowRight", "Home", "Shift+ArrowRight", "5")
    page.get_by_label("Corrected response").fill("Better.")
    press(page, "Control+Enter")
    expect(page.locator("#violations")).to_contain_text(
        "Unverifiable at 0 overlaps Irrelevant at 0, which comes first; shorten or remove the Unverifiable error."
    )


def test_a_draft_survives_the_tab_and_the_browser(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running)
    press(page, "Shift+ArrowRight", "4")
    page.get_by_label("Corrected response").fill("Half done")
    expect(page.locator("#draft")).to_have_text("Draft kept")
    press(page, "End")
    page.reload()
    expect(page.locator("#draft")).to_have_text("Your draft is back.")
    expect(page.locator("#marks q")).to_have_text("The lighthouse")
    other = begin(open_page, running)  # the same person in another browser
    expect(other.locator("#marks q")).to_have_text("The lighthouse")
    expect(other.get_by_label("Corrected response")).to_have_value("Half done")


def test_a_submission_whose_reply_was_lost_is_sent_again_with_the_same_id(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running, may_complain=True)
    press(page, "4")
    page.get_by_label("Corrected response").fill("Better.")
    page.route("**/annotation/submit", lambda route: (route.fetch(), route.abort()))  # stored, but the reply is lost
    press(page, "Control+Enter")
    expect(page.locator("#violations")).to_contain_text("The connection to the service was lost.")
    page.unroute("**/annotation/submit")
    press(page, "Control+Enter")
    expect(page.locator("#task")).to_be_hidden()
    assert len(running.annotations()) == 1


def test_a_stale_tab_asks_before_it_replaces_what_another_tab_submitted(running, open_page):
    running.keep(TEXT)
    fresh = begin(open_page, running)
    stale = begin(open_page, running, may_complain=True)
    press(fresh, "4")
    fresh.get_by_label("Corrected response").fill("Better.")
    press(fresh, "Control+Enter")
    expect(fresh.locator("#task")).to_be_hidden()
    stale.bring_to_front()
    stale.locator("#response").focus()
    press(stale, "Enter")
    dialog = stale.get_by_role("dialog", name="Already submitted")
    expect(dialog).to_contain_text("You have submitted this response with one mark in the meantime.")
    expect(dialog.get_by_role("button", name="Keep what I submitted")).to_be_focused()
    press(stale, "Enter")
    expect(stale.locator("#task")).to_be_hidden()
    assert [len(a.errors) for a in running.annotations()] == [1]


def test_a_stale_tab_replaces_if_the_person_says_so_and_its_draft_reopens_nothing(running, open_page):
    running.keep(TEXT)
    stale = begin(open_page, running, may_complain=True)
    fresh = begin(open_page, running)
    press(fresh, "Enter")
    expect(fresh.locator("#task")).to_be_hidden()
    stale.bring_to_front()
    press(stale, "4")
    expect(stale.locator("#draft")).to_have_text("You have submitted this response elsewhere")
    fresh.get_by_role("button", name="Next response").click()
    expect(fresh.locator("#status")).to_contain_text("nothing left to annotate")
    stale.get_by_label("Corrected response").fill("Better.")
    press(stale, "Control+Enter")
    stale.get_by_role("button", name="Replace it").click()
    expect(stale.locator("#task")).to_be_hidden()
    assert [(a.version, len(a.errors)) for a in running.annotations()] == [(1, 0), (2, 1)]


def test_a_stale_tab_shows_the_marks_that_were_submitted_elsewhere(running, open_page):
    running.keep(TEXT)
    fresh = begin(open_page, running)
    stale = begin(open_page, running, may_complain=True)
    press(fresh, "4")
    fresh.get_by_label("Corrected response").fill("Better.")
    press(fresh, "Control+Enter")
    expect(fresh.locator("#task")).to_be_hidden()
    stale.bring_to_front()
    press(stale, "1")
    stale.get_by_label("Corrected response").fill("Mine.")
    press(stale, "Control+Enter")
    stale.get_by_role("button", name="Show it").click()
    expect(stale.locator("#marks strong")).to_have_text(["Wrong-Grounding"])
    expect(stale.get_by_label("Corrected response")).to_have_value("Better.")
    stale.get_by_label("Corrected response").fill("Better still.")
    read(stale)
    press(stale, "Control+Enter")
    expect(stale.locator("#task")).to_be_hidden()
    assert [(a.version, a.corrected) for a in running.annotations()] == [(1, "Better."), (2, "Better still.")]


def test_a_pair_compared_in_another_tab_is_compared_again_only_on_purpose(running, open_page):
    running.keep("It is 31 metres tall.", "It is tall.")
    stale = begin(open_page, running, path="/compare", may_complain=True)
    fresh = begin(open_page, running, path="/compare")
    press(fresh, "1")
    expect(fresh.locator("#task")).to_be_hidden()
    stale.bring_to_front()
    press(stale, "2")
    expect(stale.get_by_role("dialog", name="Already submitted")).to_be_visible()
    press(stale, "Escape")
    expect(stale.locator("#task")).to_be_hidden()
    assert len(running.do(running.store.comparisons()).items) == 1


def test_a_response_is_skipped_with_a_reason(running, open_page):
    running.keep(TEXT, ANSWERS["short"])
    page = begin(open_page, running)
    first = page.locator("#response").inner_text()
    page.get_by_role("button", name="Skip …").click()
    page.get_by_role("button", name="I cannot judge it").click()
    expect(page.locator("#response")).not_to_have_text(first)
    read(page)
    page.get_by_role("button", name="Skip …").click()
    page.get_by_label("Or in your words").fill("too hard")
    press(page, "Enter")
    expect(page.locator("#task")).to_be_hidden()
    assert running.do(running.store.figures()).skips["annotation"] == {"cannot_judge": 1, "own_words": 1}


def test_pairs_are_compared_in_random_order_and_circles_are_shown(running, open_page):
    texts = ["It is 31 metres tall.", "It is tall.", "It is white."]
    ids = running.keep(*texts)
    page = begin(open_page, running, path="/compare")
    for _ in range(3):
        read(page)
        first, second = (page.locator(f"#{place}").inner_text() for place in ("first", "second"))
        a, b = (ids[texts.index(text)] for text in (first, second))
        # 0 over 1, 1 over 2, 2 over 0
        better = "1" if (int(b[-1]) - int(a[-1])) % 3 == 1 else "2"
        shown = page.locator(".pair").inner_text()
        press(page, better)
        page.wait_for_function(
            "old => document.getElementById('task').hidden || document.querySelector('.pair').innerText !== old",
            arg=shown,
        )
    expect(page.locator("#status")).to_contain_text("go in a circle")
    expect(page.locator("#task")).to_be_hidden()
    comparisons = running.do(running.store.comparisons()).items
    assert len(comparisons) == 3
    assert all(comparison.shown_first in ("a", "b") for comparison in comparisons)
    for c in comparisons:
        better, worse = (c.a, c.b) if c.choice == "a" else (c.b, c.a)
        assert (int(worse[-1]) - int(better[-1])) % 3 == 1


def test_offsets_are_converted_both_ways(running, open_page):
    page = open_page(running.url)
    convert = """async cases => {
      const {toPoints, toUnits, slice} = await import('/static/offsets.js');
      return cases.map(([text, start, end]) => [slice(text, start, end), toPoints(text, toUnits(text, start))]);
    }"""

    texts = ["".join(text) for text in itertools.product("a \u0301é🗼\U0010ffff", repeat=3)] + ["👩\u200d👩\u200d👧🗼x"]
    cases = [(text, start, end) for text in texts for end in range(len(text) + 1) for start in range(end + 1)]
    assert page.evaluate(convert, cases) == [[text[start:end], start] for text, start, end in cases]
    inside = "async () => (await import('/static/offsets.js')).toPoints('a🗼b', 2)"
    assert page.evaluate(inside) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_everybody_can_annotate_and_compare(running, open_page, axe, shots, width, scheme):
    running.keep(TEXT)
    page = begin(open_page, running, width=width, scheme=scheme)
    press(page, *["ArrowRight"] * 3, "Shift+ArrowRight", "4")
    option = page.locator("#passages").get_by_role("option").nth(2)
    option.click()
    press(page, "7")
    page.locator("#response").focus()
    press(page, "Home", *["ArrowRight"] * 8, "Shift+ArrowRight", "Shift+ArrowRight")
    expect(page.locator("#draft")).to_have_text("Draft kept")
    page.screenshot(path=shots / f"annotate-{width}-{scheme}.png", full_page=True)
    assert axe(page) == []
    assert overflows(page) <= 0
    press(page, "Enter")
    expect(page.locator("#violations")).to_be_visible()
    page.get_by_text("Keys", exact=True).click()
    assert axe(page) == []
    running.keep(ANSWERS["short"], prefix="other")
    page = begin(open_page, running, path="/compare", width=width, scheme=scheme)
    page.get_by_text("Passages", exact=True).click()
    page.screenshot(path=shots / f"compare-{width}-{scheme}.png", full_page=True)
    assert axe(page) == []
    assert overflows(page) <= 0


def test_two_people_annotate_an_answer_of_the_playground_and_their_agreement_is_shown(running, open_page, axe, shots):
    page = open_page(running.url)
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#text-a .piece").first).to_be_visible()
    for name, keys in (("ada", ["ArrowRight"] * 3), ("<i>bo</i>", ["ArrowRight"] * 4)):
        page = begin(open_page, running, name=name)
        press(page, *keys, "4")
        page.get_by_label("Corrected response").fill("It is 31 metres tall.")
        press(page, "Control+Enter")
        expect(page.locator("#task")).to_be_hidden()
    for scheme, width in (("light", 1280), ("dark", 380)):
        page = open_page(running.url + "/agreement", scheme=scheme, width=width)
        row = page.get_by_role("region", name="Segments with an error").get_by_role("row", name="factuality")
        expect(row).to_contain_text("1.00")
        expect(page.get_by_role("rowheader", name="<i>bo</i>")).to_be_visible()
        page.screenshot(path=shots / f"agreement-{width}-{scheme}.png", full_page=True)
        assert axe(page) == []
        assert overflows(page) <= 0


@pytest.mark.parametrize("path", ["annotate", "compare", "agreement"])
def test_without_a_store_a_page_says_how_to_have_one(run, open_page, path):
    page = open_page(f"{run(feedback_store=None).url}/{path}")
    expect(page.get_by_role("alert")).to_contain_text("FGCTL_FEEDBACK_STORE")
    page.get_by_role("button", name="Key, none given").click()
    expect(page.get_by_role("textbox", name="Key")).to_be_focused()


@pytest.mark.parametrize("width", WIDTHS)
def test_response_and_passages_stay_visible_together_however_long_they_are(running, open_page, width):
    example = load_feedback(SAMPLE / "feedback.json")[0]
    word = "https://www.example.org/" + "lighthouse/" * 12
    long = StoredPassage(title="T" * 80, text=word, sentences=(word, *example.passage_sentences[0] * 12))
    question = f"{example.question} {word} " * 8
    for name in ("one", "other"):
        text = f"{name} {TEXT} {word} 👩‍🔬🗼 " * 6
        running.do(
            running.store.record_response(NewResponse(id=name, text=text, question=question, passages=(long,) * 3))
        )
    page = begin(open_page, running, width=width)
    assert overflows(page) <= 0
    last = page.locator("#passages").get_by_role("option").last
    last.click()
    expect(last).to_be_in_viewport()
    expect(page.locator("#response")).to_be_in_viewport()
    page = begin(open_page, running, path="/compare", width=width)
    expect(page.get_by_role("button", name="Equally good")).to_be_in_viewport()
    page.get_by_text("Passages", exact=True).click()
    assert overflows(page) <= 0
