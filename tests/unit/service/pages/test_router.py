"""The pages as they are sent; tests/browser has what they do."""

import json
import re

import pytest

from rewards.categories import BUILT_IN
from service.domain.caller import Limits
from service.edge.keys import KeyFile
from service.pages.router import PAGES

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_needs_no_key_and_runs_nothing_inline_or_from_elsewhere(serve, tmp_path, path):
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


async def test_scripts_import_only_what_is_there(service):
    seen, asked = set(), {f"{page}.js" for page in PAGES.values()}
    while asked - seen:
        name = (asked - seen).pop()
        seen.add(name)
        reply = await service.client.get(f"/static/{name}")
        assert reply.status_code == 200, name
        asked |= set(re.findall(r'from "\./([^"]+)"', reply.text))
    assert "offsets.js" in seen


async def test_assets_are_kept_by_browsers_but_asked_for_again(service):
    first = await service.client.get("/static/call.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await service.client.get("/static/call.js", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    assert (await service.client.get("/static/../router.py")).status_code == 404
    assert (await service.client.get("/static/%2e%2e/router.py")).status_code == 404


async def test_a_page_knows_labels_with_their_digits_and_examples_that_can_be_asked(service):
    text = (await service.client.get("/")).text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    assert [label["digit"] for label in data["labels"]] == list("12345678")
    assert {label["category"] for label in data["labels"]} == set(BUILT_IN)
    reply = await service.ask(data["examples"][0] | {"max_tokens": 4})
    assert reply.status_code == 200


async def test_the_agreement_tables_need_the_scope_of_feedback_and_a_store(serve, tmp_path):
    keys = KeyFile(tmp_path / "keys.toml")
    _, generate = keys.add("asks", ["generate"], Limits())
    _, feedback = keys.add("annotates", ["feedback"], Limits())
    client = serve(keys=keys.path).client
    statuses = [
        (await client.get("/agreement/tables", headers=headers)).status_code
        for headers in ({}, {"x-api-key": generate}, {"x-api-key": feedback})
    ]
    assert statuses == [401, 403, 404]
