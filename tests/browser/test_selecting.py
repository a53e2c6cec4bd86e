"""What is seen to be selected is what is marked: by drags that end anywhere, by handles on a touch screen, by keys."""

import pytest
from playwright.sync_api import expect

from tests.browser.steps import PLACE, begin, press

TEXT = "One two three four five six."
SHOWN = "getSelection().toString()"


def select(page, start, end):
    """Select a part of the response as the handles of a touch screen do: without any pointer event."""
    page.evaluate(f"([a, b]) => getSelection().setBaseAndExtent(...({PLACE})(a), ...({PLACE})(b))", [start, end])


def box_of(page, start, end):
    return page.evaluate(
        f"""([a, b]) => {{
          const range = document.createRange();
          range.setStart(...({PLACE})(a));
          range.setEnd(...({PLACE})(b));
          const {{left, right, top, bottom}} = range.getBoundingClientRect();
          return {{left, right, y: (top + bottom) / 2}};
        }}""",
        [start, end],
    )


def drag(page, start, end):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=6)
    page.mouse.up()


@pytest.mark.parametrize("beyond", ["below", "right", "window"])
def test_a_drag_that_ends_outside_the_text_marks_what_is_shown(running, open_page, beyond):
    running.keep(TEXT)
    page = begin(open_page, running)
    word = box_of(page, TEXT.index("four"), len(TEXT))
    ends = {"below": (word["right"] + 40, word["y"] + 120), "right": (1275, word["y"]), "window": (1400, 1000)}
    drag(page, (word["left"] + 1, word["y"]), ends[beyond])
    assert page.evaluate(SHOWN) == "four five six."
    press(page, "1")
    expect(page.locator("#marks q")).to_have_text("four five six.")


def test_a_drag_from_outside_into_the_text_marks_what_is_shown(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running)
    title = page.locator("#response-title").bounding_box()
    word = box_of(page, TEXT.index("two"), TEXT.index("two") + 3)
    drag(page, (title["x"] + 2, title["y"] + 4), (word["right"], word["y"]))
    assert page.evaluate(SHOWN) == "One two"
    press(page, "2")
    expect(page.locator("#marks q")).to_have_text("One two")


def test_a_drag_inside_a_word_marks_that_part(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running)
    part = box_of(page, TEXT.index("three") + 2, TEXT.index("three") + 4)
    drag(page, (part["left"] + 0.5, part["y"]), (part["right"] - 0.2, part["y"]))
    shown = page.evaluate(SHOWN)
    assert shown in "three"
    page.get_by_role("button", name="Irrelevant").click()
    expect(page.locator("#marks q")).to_have_text(shown)
    expect(page.locator("#response .selected")).to_have_text(shown)  # another label changes this one
    press(page, "3")
    expect(page.locator("#marks strong")).to_have_text(["Incoherent"])


def test_handles_on_a_touch_screen_mark_what_they_enclose(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running, width=380, touch=True)
    select(page, 0, 3)
    select(page, 1, TEXT.index("four") - 1)
    expect(page.locator("#response .selected")).to_have_count(0)  # the browser shows it
    page.get_by_role("button", name="Redundant").tap()
    expect(page.locator("#marks q")).to_have_text("ne two three")


def test_handles_that_reach_beyond_the_text_are_clipped_to_it(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running, width=380, touch=True)
    page.evaluate(
        f"""at => {{
          const end = document.getElementById('corrected').parentNode;
          getSelection().setBaseAndExtent(...({PLACE})(at), end, end.childNodes.length);
        }}""",
        TEXT.index("five"),
    )
    page.get_by_role("button", name="Unverifiable").tap()
    expect(page.locator("#marks q")).to_have_text("five six.")
    page.evaluate("getSelection().selectAllChildren(document.body)")
    page.get_by_role("button", name="Irrelevant").tap()
    expect(page.locator("#marks q").first).to_have_text(TEXT)


def test_a_click_moves_the_caret_and_what_is_marked_is_highlighted_without_focus_too(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running)
    word = box_of(page, TEXT.index("three"), TEXT.index("three") + 5)
    page.mouse.click((word["left"] + word["right"]) / 2, word["y"])
    expect(page.locator("#response .selected")).to_have_text("three")
    press(page, "1", "ArrowRight", "2")
    expect(page.locator("#marks q")).to_have_text(["three", "four"])
    page.get_by_label("Corrected response").focus()
    expect(page.locator("#response .selected")).to_have_text("four")
    page.get_by_role("button", name="Redundant", exact=False).first.click()
    expect(page.locator("#marks q")).to_have_text(["three"])


def test_keys_after_a_drag_select_words_again(running, open_page):
    running.keep(TEXT)
    page = begin(open_page, running)
    select(page, TEXT.index("two"), TEXT.index("four"))
    page.locator("#response").focus()
    press(page, "ArrowRight")
    assert page.evaluate(SHOWN) == ""
    expect(page.locator("#response .selected")).to_have_text("three")
