"""Arabic, Hebrew, Chinese and Japanese answers, and answers with other line ends."""

import pytest
from playwright.sync_api import expect

from tests.browser.steps import begin, press, read

ARABIC = "المنارة في ألدرماوث. ارتفاعها 31 مترا؟ بنيت عام 1841."
HEBREW = "המגדלור עומד בחוף. גובהו 31 מטרים."
CHINESE = "灯塔高三十一米。它由赫斯特·奎尔建造！现在是自动的吗？"
JAPANESE = "灯台は高さ31メートルです。「白い塔」と呼ばれています。"


def selected(page):
    return "".join(page.locator("#response .selected").all_inner_texts())


def unit(page, call):
    return page.evaluate(f"async () => {{ const m = await import('/static/words.js'); return {call}; }}")


@pytest.mark.parametrize(("text", "second"), [(ARABIC, "في"), (HEBREW, "עומד")])
def test_right_to_left_text_is_shown_and_walked_from_right_to_left(running, open_page, shots, text, second):
    running.keep(text, question=f"{text[:12]}؟")
    page = begin(open_page, running)
    for place in ("#response", "#question", "#corrected"):
        assert page.locator(place).evaluate("e => getComputedStyle(e).direction") == "rtl"
    # The last full stop is at the left end of the last line.
    stop, letter = (
        page.evaluate(
            """at => {
              const walker = document.createTreeWalker(document.getElementById('response'), NodeFilter.SHOW_TEXT);
              let node = walker.nextNode();
              for (; at >= node.length; node = walker.nextNode()) at -= node.length;
              const range = document.createRange();
              range.setStart(node, at);
              range.setEnd(node, at + 1);
              return range.getBoundingClientRect().left;
            }""",
            at,
        )
        for at in (len(text) - 1, len(text) - 2)
    )
    assert stop < letter
    assert selected(page) == text.split()[0]
    press(page, "ArrowLeft")
    assert selected(page) == second
    press(page, "ArrowRight", "ArrowRight")
    assert selected(page) == text.split()[0]
    press(page, "Shift+ArrowDown", "1")
    end = min(text.index(mark) for mark in ".؟" if mark in text)
    expect(page.locator("#marks q")).to_have_text(text[: end + 1])
    page.screenshot(path=shots / f"right-to-left-{second}.png", full_page=True)


@pytest.mark.parametrize(
    ("path", "places"),
    [("/judge", ("#question", "#answer")), ("/compare", ("#question", "#first", "#second"))],
)
def test_right_to_left_answers_are_shown_so_on_the_other_pages(running, open_page, shots, path, places):
    running.keep(ARABIC, HEBREW, question="أين المنارة؟")
    page = begin(open_page, running, path=path)
    for place in places:
        assert page.locator(place).evaluate("e => getComputedStyle(e).direction") == "rtl"
    page.screenshot(path=shots / f"right-to-left-{path[1:]}.png", full_page=True)


@pytest.mark.parametrize(
    ("text", "sentence"), [(CHINESE, "灯塔高三十一米。"), (JAPANESE, "灯台は高さ31メートルです。")]
)
def test_text_without_spaces_has_words_and_sentences(running, open_page, shots, text, sentence):
    running.keep(text)
    page = begin(open_page, running)
    assert 0 < len(selected(page)) <= 3
    first = selected(page)
    press(page, "ArrowRight")
    assert text.startswith(first + selected(page))
    press(page, "Home", "Shift+ArrowDown", "4")
    expect(page.locator("#marks q")).to_have_text(sentence)
    page.screenshot(path=shots / f"without-spaces-{text[:2]}.png", full_page=True)
    page.get_by_label("Corrected response").fill("灯塔。")
    press(page, "Control+Enter")
    expect(page.locator("#task")).to_be_hidden()
    (stored,) = running.annotations()
    assert text[stored.errors[0].start : stored.errors[0].end] == sentence


def test_words_cover_every_text_and_keep_their_punctuation(running, open_page):
    page = open_page(running.url)
    texts = [
        ARABIC,
        HEBREW,
        CHINESE,
        JAPANESE,
        "One (two) “three”, four…",
        "ไทยเป็นภาษา 3 คำ",
        "",
        " \n ",
        "（括号）和text混合。",
    ]
    for text in texts:
        words = unit(page, f"m.wordsOf({text!r})")
        parts = [text[word["start"] : word["end"]] for word in words]
        assert "".join(parts) == "".join(text.split())
        assert all(parts)
    words = unit(page, "m.wordsOf('他说：「白い塔」。').map(w => '他说：「白い塔」。'.slice(w.start, w.end))")
    assert not any(word.startswith(("」", "。", "：")) or word.endswith("「") for word in words)
    assert unit(page, "['米。', '吗？', 'tall.”', 'مترا؟', 'tall,', '「塔」'].map(m.endsSentence)") == [
        True, True, True, True, False, False,
    ]  # fmt: skip


def test_the_direction_is_that_of_the_paragraph(running, open_page):
    page = open_page(running.url)
    text = "1. English.\nעברית here.\n3)"
    assert unit(page, f"[0, 3, 13, 20, 26].map(at => m.isRightToLeft({text!r}, at))") == [
        False, False, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("newline", ["\r\n", "\r", "\n"])
def test_line_ends_make_no_correction(running, open_page, newline):
    text = f"First line.{newline}{newline}Second line."
    running.keep(text, text + " End.")
    page = begin(open_page, running)
    press(page, "Enter")
    expect(page.locator("#done")).to_be_visible()
    read(page)
    press(page, "1", "Enter")
    expect(page.locator("#violations")).to_contain_text("the response is not corrected")
    page.get_by_label("Corrected response").fill("First line.")
    press(page, "Control+Enter")
    expect(page.locator("#task")).to_be_hidden()
    assert [annotation.corrected for annotation in running.annotations()] == [None, "First line."]
