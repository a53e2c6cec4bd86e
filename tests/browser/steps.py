"""Steps that people take on the pages."""

from playwright.sync_api import expect

PLACE = """at => {
  const walker = document.createTreeWalker(document.getElementById('response'), NodeFilter.SHOW_TEXT);
  let node = walker.nextNode();
  for (; at > node.length; node = walker.nextNode()) at -= node.length;
  return [node, at];
}"""
"""The position in the page of a UTF-16 index into the response."""


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
    read(page)
    return page


def read(page):
    """Wait until what is shown has been on the screen for long enough to be decided about."""
    expect(page.locator("#task:not([inert], [data-fresh])")).to_be_visible()


def hold(page, key, times=6):
    """Hold a key down: the first event is a press, the others are repeats."""
    for _ in range(times):
        page.keyboard.down(key)
        page.wait_for_timeout(30)
    page.keyboard.up(key)


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
