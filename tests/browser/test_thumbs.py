"""Quick feedback in the playground, in a browser."""

from playwright.sync_api import expect

from tests.browser.steps import ask


def stored_thumbs(running):
    return [feedback.thumb for feedback in running.do(running.store.quick_feedback_page()).items]


def opinion(page, panel="a"):
    return page.locator(f"#text-{panel} ~ .thumbs").get_by_role("group", name="Your opinion of this answer")


def thumb(page, name, panel="a"):
    return opinion(page, panel).get_by_role("button", name=name)


def test_a_thumb_is_given_changed_and_withdrawn_by_keyboard(running, open_page):
    page = open_page(running.url)
    running.service.engine.pause = 0.05
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#text-a .words")).to_contain_text("The lighthouse")
    expect(opinion(page)).to_be_hidden()  # only complete answers take feedback
    up, down, status = thumb(page, "Thumbs up"), thumb(page, "Thumbs down"), opinion(page).get_by_role("status")
    expect(up).to_have_attribute("aria-pressed", "false")
    up.focus()
    page.keyboard.press("Enter")
    expect(up).to_have_attribute("aria-pressed", "true")
    expect(status).to_contain_text("Saved: a good answer.")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(down).to_have_attribute("aria-pressed", "true")
    expect(up).to_have_attribute("aria-pressed", "false")
    expect(status).to_contain_text("Saved: a bad answer.")
    page.keyboard.press("Space")
    expect(status).to_have_text("Withdrawn.")
    expect(down).to_have_attribute("aria-pressed", "false")
    assert stored_thumbs(running) == [1, -1, 0]
    ask(page)
    expect(status).to_have_text("Is it a good answer?")


def test_both_answers_of_a_comparison_have_thumbs(running, open_page):
    page = open_page(running.url)
    page.get_by_label("Compare two preferences").check()
    ask(page, "b")
    thumb(page, "Thumbs up", "b").click()
    thumb(page, "Thumbs down", "a").click()
    expect(opinion(page, "a").get_by_role("status")).to_contain_text("a bad answer")
    expect(opinion(page, "b").get_by_role("status")).to_contain_text("a good answer")
    stored = running.do(running.store.quick_feedback_page()).items
    profiles = {f.thumb: running.do(running.store.response(f.response_id)).profile for f in stored}
    assert profiles == {1: "short", -1: "medium"}


def test_a_thumb_whose_reply_was_lost_is_sent_again_with_the_same_id(running, open_page):
    page = open_page(running.url, may_complain=True)
    ask(page)
    up, problem = thumb(page, "Thumbs up"), page.get_by_role("alert")
    page.route("**/feedback", lambda route: (route.fetch(), route.abort()))  # stored, but the reply is lost
    up.click()
    expect(problem).to_contain_text("The connection to the service was lost.")
    expect(up).to_have_attribute("aria-pressed", "false")
    page.unroute("**/feedback")
    up.click()
    expect(up).to_have_attribute("aria-pressed", "true")
    expect(problem).to_be_hidden()
    assert stored_thumbs(running) == [1]


def test_the_last_of_two_quick_thumbs_counts(running, open_page):
    page = open_page(running.url)
    ask(page)
    page.evaluate("document.querySelectorAll('.thumbs button').forEach(button => button.click())")
    expect(opinion(page).get_by_role("status")).to_contain_text("a bad answer")
    assert stored_thumbs(running) == [1, -1]


def test_a_refusal_is_shown_and_without_a_store_there_are_no_thumbs(run, open_page, tmp_path):
    from service.domain.caller import Limits
    from service.edge.keys import KeyFile

    keys = KeyFile(tmp_path / "keys.toml")
    _, secret = keys.add("tester", ["generate"], Limits())
    page = open_page(run(keys=keys.path).url, may_complain=True)
    page.get_by_role("button", name="Key, none given").click()
    page.get_by_role("textbox", name="Key").fill(secret)
    page.keyboard.press("Enter")
    expect(page.get_by_role("radio", name="medium")).to_be_checked()
    ask(page)
    thumb(page, "Thumbs up").click()
    expect(page.get_by_role("alert")).to_contain_text("feedback")
    page = open_page(run(feedback_store=None).url)
    ask(page)
    expect(page.locator(".thumbs button")).to_have_count(0)
