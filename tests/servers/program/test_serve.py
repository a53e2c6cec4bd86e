"""The service as `make serve` runs it, with the policies that ship."""

import http.client
import json
import socket
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
    for _ in range(1200):
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


def test_a_client_that_offers_http_2_is_answered(server):
    """As curl --http2 and Java's HttpClient do."""
    body = json.dumps(QUESTION).encode()
    offer = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
        connection.sendall(
            b"POST /generate?profile=short HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            + offer
            + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            + body
        )
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        assert (reply.status, json.loads(reply.read())["profile"]) == (200, "short")


def test_an_idle_connection_stays_open(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.connect()
    connection.auto_open = 0  # raises instead of connecting again
    for pause in (0, 7):
        time.sleep(pause)
        connection.request("HEAD", "/readyz")
        reply = connection.getresponse()
        assert (reply.status, reply.read()) == (200, b"")
    connection.close()


def test_a_stream_to_a_client_of_http_1_0_ends_with_the_connection(server):
    body = json.dumps(QUESTION | {"stream": True, "max_tokens": 4}).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
        connection.sendall(
            b"POST /generate HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            + body
        )
        head, _, events = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    assert [line for line in head.lower().split(b"\r\n") if line.startswith(b"connection")] == [b"connection: close"]
    assert events.startswith(b"event: ")
    assert b"event: done" in events
