"""The playground in a browser."""

import itertools
import math
import re
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ANSWERS, WIDTHS, overflows
from tests.browser.steps import ask


def test_an_example_is_answered_in_a_stream_and_judged(running, open_page):
    page = open_page(running.url)
    expect(page.get_by_role("radio", name="medium")).to_be_checked()
    running.service.engine.pause = 0.05
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#text-a .words")).to_have_text(re.compile("^The lighthouse"))
    assert len(page.locator("#text-a .words").inner_text()) < len(ANSWERS["medium"])
    wrong = page.locator("#text-a .piece", has_text="41 metres")
    expect(wrong).to_be_visible()
    assert page.locator("#text-a .words").evaluate("e => [...e.childNodes].map(n => n.firstChild ?"
        " n.firstChild.textContent : n.textContent).join('')") == ANSWERS["medium"]  # fmt: skip
    expect(page.locator("#text-a + .facts")).to_be_visible()
    expect(page.locator("#text-a + .facts")).to_have_text(re.compile(r"^medium@\w{6} · \d+ tokens$"))
    wrong.hover()
    tip = page.get_by_role("tooltip")
    expect(tip).to_contain_text("Factuality of this sentence: 83 % likely an error, most likely Wrong-Grounding")
    expect(tip).to_contain_text("Relevance of this sub-sentence")
    page.keyboard.press("Tab")
    expect(page.get_by_role("meter", name="Completeness")).to_have_attribute("aria-valuenow", "61")
    expect(page.locator(".whole")).to_contain_text("61 % likely to cover more than an average answer")
    page.locator("#text-a .piece").last.focus()
    expect(tip).to_contain_text("Irrelevant")
    page.keyboard.press("ArrowLeft")
    expect(tip).not_to_contain_text("Irrelevant")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_segments_after_an_emoji_are_cut_where_the_service_cut_them(running, open_page):
    page = open_page(running.url)
    page.get_by_role("radio", name="long").check()
    ask(page)
    pieces = page.locator("#text-a .piece").evaluate_all("all => all.map(e => e.firstChild.textContent)")
    assert "Its oil lamp was replaced by an electric one in 1926," in [piece.strip() for piece in pieces]


def test_the_point_in_the_triangle_is_moved_by_keys_and_by_dragging(running, open_page):
    page = open_page(running.url)
    point = page.get_by_role("slider")
    expect(point).to_have_attribute("aria-valuetext", "relevance 27 %, factuality 46 %, completeness 27 %")
    page.get_by_role("radio", name="short").check()
    expect(point).to_have_attribute("aria-valuetext", "relevance 33 %, factuality 42 %, completeness 25 %")
    point.focus()
    page.keyboard.press("Home")
    expect(point).to_have_attribute("aria-valuetext", "relevance 35 %, factuality 35 %, completeness 30 %")
    for key in ("ArrowUp", "ArrowUp", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    expect(point).to_have_attribute("aria-valuetext", "relevance 30 %, factuality 40 %, completeness 30 %")
    for _ in range(25):
        page.keyboard.press("ArrowLeft")
    expect(point).to_have_attribute("aria-valuetext", "relevance 60 %, factuality 40 %, completeness 0 %")
    expect(page.get_by_role("radio", name="own weights")).to_be_checked()
    expect(page.get_by_role("button", name="Enlarge the profiles")).to_be_visible()  # the point left what was seen
    box = page.locator(".triangle svg").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] - 30, steps=4)
    page.mouse.up()
    expect(point).to_have_attribute("aria-valuetext", "relevance 0 %, factuality 100 %, completeness 0 %")


def test_profiles_that_nearly_touch_are_enlarged_and_can_be_picked(running, open_page, shots):
    page = open_page(running.url)
    expect(page.get_by_role("radio", name="medium")).to_be_checked()
    marks = page.locator(".profile")
    places = [box["x"] + box["width"] / 2 for box in (mark.bounding_box() for mark in marks.locator(".mark").all())]
    assert min(abs(a - b) for a, b in itertools.combinations(places, 2)) > 30
    page.locator(".triangle").screenshot(path=shots / "triangle-enlarged.png")
    page.locator(".profile", has_text="short").locator("circle").click()
    expect(page.get_by_role("radio", name="short")).to_be_checked()
    page.get_by_role("button", name="Show the whole triangle").click()
    page.locator(".triangle").screenshot(path=shots / "triangle-whole.png")
    page.get_by_role("button", name="Enlarge the profiles").click()
    box = page.locator(".triangle svg").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2 + 30, box["y"] + box["height"] / 2 + 50)
    expect(page.get_by_role("radio", name="own weights")).to_be_checked()
    weights = page.get_by_role("slider").get_attribute("aria-valuetext")
    assert not all(int(number) % 5 == 0 for number in re.findall(r"\d+", weights))


def test_the_zoom_keeps_points_apart_and_is_undone_exactly(running, open_page):
    page = open_page(running.url)
    zoomed = page.evaluate(
        """async () => {
          const {zoomFor, drawn, original} = await import('/static/zoom.js');
          const near = [[130.3, 122.7], [140, 116], [151.6, 108]];
          const view = zoomFor(near, 280, 236);
          const far = zoomFor([[24, 196], [140, 20], [256, 196]], 280, 236);
          const back = near.map(point => original(view, drawn(view, point)));
          return {places: near.map(point => drawn(view, point)), back, near, far: far.scale,
                  none: zoomFor([], 280, 236).scale, same: zoomFor([[140, 100], [140, 100]], 280, 236).scale};
        }"""
    )
    places = zoomed["places"]
    assert min(math.dist(a, b) for a, b in itertools.combinations(places, 2)) == pytest.approx(46)
    assert all(0 <= x <= 280 and 0 <= y <= 236 for x, y in places)
    assert zoomed["back"] == [pytest.approx(point) for point in zoomed["near"]]
    assert (zoomed["far"], zoomed["none"], zoomed["same"]) == (1, 1, 1)


@pytest.mark.parametrize("width", WIDTHS)
def test_an_answer_without_passages_says_what_is_not_judged(running, open_page, shots, width):
    page = open_page(running.url, width=width)
    page.get_by_label("Example").select_option("My own question")
    page.get_by_label("Question").fill("How tall is it?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#text-a .piece").first).to_be_visible()
    expect(page.locator(".judged")).to_be_visible()
    facts = page.locator("#text-a ~ .facts")
    expect(facts).to_contain_text("not judged: no passages (completeness, factuality, relevance)")
    expect(page.locator(".legend")).to_contain_text("counted as toxic")
    expect(page.locator(".legend > :visible")).to_have_count(2)
    page.screenshot(path=shots / f"playground-no-passages-{width}.png", full_page=True)
    assert overflows(page) <= 0
    page.get_by_label("Example").select_option(index=0)
    ask(page)
    expect(page.get_by_role("meter", name="Completeness")).to_be_visible()
    expect(facts).not_to_contain_text("not judged")
    expect(page.locator(".legend")).to_contain_text("counted as a factual error")


def test_an_answer_to_another_question_is_marked_as_old(running, open_page, shots):
    page = open_page(running.url)
    page.get_by_label("Compare two preferences").check()
    ask(page)
    expect(page.locator("#text-b .piece").first).to_be_visible()
    page.get_by_label("Compare two preferences").uncheck()
    question = page.get_by_label("Question")
    asked = question.input_value()
    expect(page.locator(".outdated")).to_be_hidden()
    question.fill("Who built it?")
    expect(page.locator(".outdated")).to_have_text(f"An answer to what was asked before: “{asked}”.")
    page.screenshot(path=shots / "playground-old-answer.png", full_page=True)
    ask(page)
    expect(page.locator(".outdated")).to_be_hidden()
    page.get_by_label("Compare two preferences").check()  # the other panel still answers the first question
    expect(page.locator(".outdated").first).to_be_hidden()
    expect(page.locator(".outdated").last).to_contain_text(asked)
    page.get_by_label("Text of passage 1").fill("Another text.")
    expect(page.locator(".outdated").first).to_contain_text("“Who built it?” with other passages.")


def test_asking_again_before_the_answer_is_complete_shows_only_the_new_answer(running, open_page):
    page = open_page(running.url)
    running.service.engine.pause = 0.2
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#text-a .words")).to_have_text(re.compile("^The"))
    running.service.engine.pause = 0.01
    page.get_by_role("button", name="Ask", exact=True).click()
    page.wait_for_timeout(100)
    assert "Stopped" not in page.locator("#text-a ~ .facts").inner_text()
    expect(page.locator("#text-a .piece").first).to_be_visible()


def test_a_question_asked_before_the_profiles_are_loaded_waits_for_them(running, open_page):
    page = open_page(running.url)
    held = []

    def hold(route):
        held.append(route)

    page.route("**/profiles", hold)
    with page.expect_request("**/profiles"):
        page.reload()
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#said")).to_have_text("Asked. The answer is being written.")
    held[0].continue_()
    expect(page.get_by_role("heading", name="Profile “medium”")).to_be_visible()
    expect(page.locator("#text-a .piece").first).to_be_visible()


def test_without_profiles_nothing_is_asked_and_the_next_press_loads_them(running, open_page):
    page = open_page(running.url, may_complain=True)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/generate" in request.url else None)
    page.route("**/profiles", lambda route: route.abort())
    page.reload()
    problem = page.locator("#problem")
    expect(problem).to_contain_text("The profiles could not be loaded. The connection to the service was lost.")
    with page.expect_request("**/profiles"):
        page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#said")).to_have_text("There was a problem.")
    expect(problem).to_contain_text("The profiles could not be loaded.")
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    assert not asked
    page.unroute("**/profiles")
    ask(page)
    expect(problem).to_be_hidden()
    expect(page.get_by_role("heading", name="Profile “medium”")).to_be_visible()
    assert len(asked) == 1


def test_a_choice_made_before_the_profiles_are_loaded_stays(running, open_page):
    page = open_page(running.url)
    held = []

    def hold(route):
        held.append(route)

    page.route("**/profiles", hold)
    with page.expect_request("**/profiles"):
        page.reload()
    page.get_by_role("slider").press("ArrowUp")
    held[0].continue_()
    expect(page.get_by_role("radio", name="medium")).to_have_count(1)
    expect(page.get_by_role("radio", name="own weights")).to_be_checked()


def test_on_a_phone_the_answer_is_scrolled_to(running, open_page, shots):
    page = open_page(running.url, width=380)
    expect(page.get_by_role("radio", name="medium")).to_be_checked()
    ask(page)
    page.wait_for_function("() => document.querySelector('.answer h2').getBoundingClientRect().top < innerHeight / 4")
    page.screenshot(path=shots / "playground-phone-answer.png")


def test_only_errors_that_count_have_full_marks(running, open_page):
    page = open_page(running.url)
    ask(page)
    assert page.locator('[data-factuality="error"]', has_text="41 metres").count() == 1
    counted = page.locator("#text-a .piece").evaluate_all(
        """all => all.filter(piece => getComputedStyle(piece).textDecorationLine === 'underline')
          .map(piece => piece.firstChild.textContent)"""
    )
    assert counted == ["The keeper's cottage is a museum, which many people like."]


def test_a_right_to_left_answer_is_walked_from_right_to_left(running, open_page):
    running.service.engine.says = "المنارة في ألدرماوث. ارتفاعها 31 مترا. بنيت عام 1841."
    page = open_page(running.url)
    ask(page)
    first, second = page.locator("#text-a .piece").all()[:2]
    first.focus()
    page.keyboard.press("ArrowLeft")
    expect(second).to_be_focused()


def test_weights_always_sum_to_one(running, open_page):
    page = open_page(running.url)
    sums = page.evaluate(
        """async () => {
          const {steps, moved, rounded, STEPS} = await import('/static/triangle.js');
          const keys = ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight'];
          const seen = [];
          for (let x = -40; x < 320; x += 13) for (let y = -40; y < 280; y += 13) {
            seen.push(steps([x, y]), ...keys.map(key => moved(steps([x, y]), key)));
          }
          seen.push(rounded([1, 0, 0]), rounded([0.333333, 0.416667, 0.25]));
          return seen.map(w => [w.reduce((a, b) => a + b), Math.min(...w), w.length, STEPS]);
        }"""
    )
    assert {(total, count) for total, _, count, _ in sums} == {(20, 3)}
    assert min(least for _, least, _, _ in sums) == 0


def test_two_preferences_are_asked_side_by_side(running, open_page):
    page = open_page(running.url)
    page.get_by_label("Compare two preferences").check()
    ask(page)
    expect(page.locator("#text-b .piece").first).to_be_visible()
    expect(page.locator("#text-b .words")).to_contain_text("31 metres")
    a, b = (page.locator(f"#text-{name}").bounding_box() for name in "ab")
    assert b["x"] >= a["x"] + a["width"]


@pytest.mark.parametrize("language", ["curl", "Python", "OpenAI client"])
def test_copied_code_runs_as_it_is(running, open_page, language):
    page = open_page(running.url, grant=("clipboard-read", "clipboard-write"))
    page.get_by_label("Question").fill('Is it Quill\'s "tower" — $HOME \\ 🗼?')
    page.get_by_role("radio", name="short").check()
    ask(page)
    page.get_by_text("Copy this request").click()
    page.get_by_role("button", name=language).click()
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    code = page.evaluate("navigator.clipboard.readText()")
    command = ["sh", "-c", code] if language == "curl" else [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ANSWERS["short"] in done.stdout


def test_failures_are_shown_as_sentences(run, open_page, tmp_path):
    from service.domain.caller import Limits
    from service.edge.keys import KeyFile

    keys = KeyFile(tmp_path / "keys.toml")
    _, secret = keys.add("tester", ["generate"], Limits(requests_per_minute=1))
    running = run(keys=keys.path)
    page = open_page(running.url, may_complain=True)
    problem = page.get_by_role("alert")
    expect(problem).to_have_text(
        "The profiles could not be loaded. The service requires a key. Enter yours with the button “Key” at the top."
    )
    page.get_by_role("button", name="Key, none given").click()
    page.get_by_role("textbox", name="Key").fill("fg_wrong")
    page.get_by_role("button", name="Keep it").click()
    expect(problem).to_contain_text("does not know this key")
    expect(problem).to_be_in_viewport()
    page.get_by_role("button", name="Key, given").click()
    page.get_by_role("textbox", name="Key").fill(secret)
    page.keyboard.press("Enter")
    expect(problem).to_be_hidden()
    ask(page)
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(problem).to_have_text(re.compile(r"Try again in (a second|\d+ seconds)\.$"))
    assert page.evaluate("localStorage.length") == 0


def test_a_service_with_too_much_to_do_says_when_to_come_back(running, open_page):
    page = open_page(running.url, may_complain=True)
    page.route(
        "**/generate?*",
        lambda route: route.fulfill(
            status=503,
            headers={"retry-after": "7"},
            json={"error": {"type": "overloaded", "message": "Too many requests are waiting.", "param": None}},
        ),
    )
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("Too many requests are waiting. Try again in 7 seconds.")
    page.unroute("**/generate?*")
    ask(page)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_an_error_in_the_middle_of_a_stream_is_shown(running, open_page):
    page = open_page(running.url)
    running.service.engine.pause = 0.1
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#text-a .words")).to_have_text(re.compile("^The lighthouse"))
    running.service.engine.break_at_next = True
    expect(page.get_by_role("alert")).to_contain_text("engine")
    expect(page.locator("#text-a .words")).to_have_text(re.compile("^The lighthouse"))


def test_a_lost_service_is_reported_and_the_text_so_far_stays(running, open_page):
    page = open_page(running.url, may_complain=True)
    running.service.engine.pause = 0.1
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#text-a .words")).to_have_text(re.compile("^The lighthouse"))
    running.service.engine.gone = True
    running.stop()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("#text-a .words")).to_have_text(re.compile("^The lighthouse"))
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("The connection to the service was lost.")


def test_stopping_keeps_the_text_so_far(running, open_page):
    page = open_page(running.url)
    running.service.engine.pause = 0.2
    page.get_by_label("Question").press("Enter")
    expect(page.locator("#text-a .words")).to_have_text(re.compile("^The"))
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#text-a + .facts")).to_have_text("Stopped.")
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_everybody_can_use_it(running, open_page, axe, shots, width, scheme):
    page = open_page(running.url, width, scheme)
    page.get_by_label("Compare two preferences").check()
    ask(page)
    expect(page.locator("#text-b .piece").first).to_be_visible()
    page.locator("#text-a .piece", has_text="41 metres").focus()
    page.screenshot(path=shots / f"playground-{width}-{scheme}.png", full_page=True)
    assert axe(page) == []
    assert overflows(page) <= 0
    page.get_by_label("Compare two preferences").uncheck()
    page.get_by_text("Copy this request").click()
    page.get_by_text("All scores").click()
    page.screenshot(path=shots / f"playground-one-{width}-{scheme}.png", full_page=True)
    assert axe(page) == []
    assert overflows(page) <= 0
