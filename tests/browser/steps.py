"""Steps that people take on the pages."""

from playwright.sync_api import expect


def ask(page, panel="a"):
    """Ask in the playground, and wait until a panel's answer is scored."""
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(f"#text-{panel} .piece").first).to_be_visible()


def begin(open_page, running, name="ada", path="/annotate", **how):
    """Start annotating or comparing."""
    page = open_page(running.url + path, **how)
    page.get_by_label("Your name").fill(name)
    page.keyboard.press("Enter")
    expect(page.locator("#task")).to_be_visible()
    return page


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def correct(page, text):
    """Write a corrected response by keyboard, with the focus anywhere before it, and submit."""
    corrected = page.get_by_label("Corrected response")
    while not corrected.evaluate("e => e === document.activeElement"):
        press(page, "Tab")
    press(page, "Control+a")
    page.keyboard.type(text)
    press(page, "Control+Enter")
