"""The playground in a browser."""

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
    box = page.locator(".triangle svg").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] - 30, steps=4)
    page.mouse.up()
    expect(point).to_have_attribute("aria-valuetext", "relevance 0 %, factuality 100 %, completeness 0 %")


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
    expect(problem).to_have_text("The service requires a key. Enter yours with the button “Key” at the top.")
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
