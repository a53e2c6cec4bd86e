"""The service as `make serve` runs it, with the policies that ship."""

import json
import time

import httpx
import pytest

PROFILES = ("short", "medium", "long")
QUESTION = {
    "question": "How was the windmill moved to Thole?",
    "passages": [
        {
            "title": "Windmill of Thole",
            "text": "The windmill of Thole is the last working mill of the Strand coast. It was moved to Thole from "
            "Brayne in 1821, on rollers pulled by forty oxen. The miller, Ada Holm, grinds two tonnes of rye a week.",
        }
    ],
    "temperature": 0,
    "max_tokens": 48,
}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_answers_is_scored_and_counted(server, profile):
    reply = httpx.post(f"{server.url}/generate", params={"profile": profile}, json=QUESTION, timeout=120).json()
    assert reply["profile"] == profile
    assert reply["text"]
    for _ in range(300):
        scores = httpx.get(f"{server.url}/responses/{reply['id']}").json()["scores"]
        if scores:
            break
        time.sleep(0.1)
    assert scores["completeness"]["segments"][0]["end"] <= len(reply["text"])
    labels = f'policy="{reply["policy"]["version"]}",profile="{profile}"'
    exposed = httpx.get(f"{server.url}/metrics").text
    for metric in ("fg_segments_scored_total", "fg_segment_errors_total"):
        for category in ("relevance", "factuality", "completeness"):
            assert f'{metric}{{category="{category}",{labels}}}' in exposed


def test_the_shipped_policies_are_different_and_weighted_as_their_names_say(server):
    listed = httpx.get(f"{server.url}/profiles").json()
    assert listed["broken"] == []
    entries = {entry["profile"]: entry for entry in listed["profiles"]}
    assert set(entries) == set(PROFILES)
    assert len({entry["policy"]["version"] for entry in entries.values()}) == 3
    relevance = [entries[name]["weights"]["relevance"] for name in PROFILES]
    assert relevance == pytest.approx([0.333, 0.273, 0.2], abs=1e-3)


def test_the_command_line_asks_the_service(server, tmp_path):
    (tmp_path / "passages.json").write_text(json.dumps(QUESTION["passages"]))
    arguments = ("generate", QUESTION["question"], "--passages", str(tmp_path / "passages.json"), "--max-tokens", "24")
    asked = (*arguments, "--temperature", "0", "--profile", "long")
    whole = server.fgctl(*asked, "--json")
    assert whole.returncode == 0, whole.stderr
    response = json.loads(whole.stdout)
    assert response["profile"] == "long"
    assert server.fgctl(*asked).stdout == response["text"] + "\n"
    assert server.fgctl(*asked, "--stream").stdout == response["text"] + "\n"
    refused = server.fgctl(*arguments, "--profile", "huge")
    assert refused.returncode == 1
    assert "choose one of" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_megabytes_are_refused_and_the_service_lives_on(server):
    reply = httpx.post(f"{server.url}/generate", content=b"a" * (3 << 20), timeout=30)
    assert (reply.status_code, reply.json()["error"]["type"]) == (413, "too_large")
    assert httpx.get(f"{server.url}/livez").status_code == 200
