"""The pages as the service sends them; tests/browser tests what they do."""

import json
import re
from pathlib import Path

import pytest

from rewards.categories import ANNOTATED
from service.domain.caller import Limits
from service.edge.keys import KeyFile
from service.feedback.skips import SKIP_REASONS, reason_code
from service.feedback.validation import MISSING_LABELS, NEEDS_SOURCES
from service.pages import router
from service.pages.router import PAGES

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", [page.path for page in PAGES])
async def test_a_page_needs_no_key_and_loads_nothing_inline_or_from_other_hosts(serve, tmp_path, path):
    keys = KeyFile(tmp_path / "keys.toml")
    keys.add("somebody", ["generate"], Limits())
    client = serve(keys=keys.path).client
    reply = await client.get(path)
    assert reply.status_code == 200
    policy = reply.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "://" not in policy
    assert not re.search(r"\sstyle=|\son\w+=|<style|https?://", reply.text)
    scripts = re.findall(r"<script([^>]*)>", reply.text)
    assert all("src=" in script or 'type="application/json"' in script for script in scripts)
    for asset in re.findall(r'(?:href|src)="(static/[^"]+)"', reply.text):
        assert (await client.get(f"/{asset}")).status_code == 200


async def test_scripts_import_only_existing_modules(service):
    seen, asked = set(), {f"{page.name}.js" for page in PAGES}
    while asked - seen:
        name = (asked - seen).pop()
        seen.add(name)
        reply = await service.client.get(f"/static/{name}")
        assert reply.status_code == 200, name
        asked |= set(re.findall(r'(?:from|import) "\./([^"]+)"', reply.text))
    assert "offsets.js" in seen
    assert seen == {file.name for file in (Path(router.__file__).parent / "static").glob("*.js")}


async def test_browsers_cache_assets_but_ask_before_each_use(service):
    first = await service.client.get("/static/call.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await service.client.get("/static/call.js", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    assert (await service.client.get("/static/../router.py")).status_code == 404
    assert (await service.client.get("/static/%2e%2e/router.py")).status_code == 404


async def test_a_page_has_labels_with_digits_and_examples_that_can_be_asked(service):
    text = (await service.client.get("/")).text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    assert [label["digit"] for label in data["labels"]] == list("123456789")
    assert {label["category"] for label in data["labels"]} == set(ANNOTATED)
    assert [label["label"] for label in data["labels"] if label["missing"]] == list(MISSING_LABELS)
    assert [label["label"] for label in data["labels"] if label["needs_sources"]] == list(NEEDS_SOURCES)
    assert all(label["meaning"].endswith(".") for label in data["labels"])
    reply = await service.ask(data["examples"][0] | {"max_tokens": 4})
    assert reply.status_code == 200


async def test_the_agreement_tables_need_the_scope_feedback_and_a_store(serve, tmp_path):
    keys = KeyFile(tmp_path / "keys.toml")
    _, generate = keys.add("asks", ["generate"], Limits())
    _, feedback = keys.add("annotates", ["feedback"], Limits())
    client = serve(keys=keys.path).client
    statuses = [
        (await client.get("/agreement/tables", headers=headers)).status_code
        for headers in ({}, {"x-api-key": generate}, {"x-api-key": feedback})
    ]
    assert statuses == [401, 403, 404]


async def test_the_navigation_names_every_page_and_marks_the_current_one(service):
    text = (await service.client.get("/compare")).text
    for page in PAGES:
        link = re.search(rf'<a href="([^"]*)"([^>]*)>{page.title}</a>', text)
        assert link[1] in (page.path, page.path[1:], f".{page.path}")
        assert ("aria-current" in link[2]) == (page.name == "compare")


@pytest.mark.parametrize("path", ["/annotate", "/compare"])
async def test_the_skip_dialog_has_one_button_that_enter_presses_and_the_reasons_that_are_counted(
    serve, tmp_path, path
):
    client = serve(feedback_store=f"sqlite:///{tmp_path}/feedback.db").client
    dialog = re.search(r'<dialog id="skip-dialog".*?</dialog>', (await client.get(path)).text, re.S)[0]
    assert re.findall(r'<button type="submit" value="([^"]*)"', dialog) == ["own"]
    offered = re.findall(r'<button type="button" value="([^"]+)"', dialog)
    assert {reason_code(reason) for reason in offered} == set(SKIP_REASONS)
