"""`fgctl arena` from the command line, between references and a model, judged by another model."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from cli.main import app


class Models(BaseHTTPRequestHandler):
    """`writer` answers, and `judge` always prefers what it is shown first."""

    asked: ClassVar[list[str]] = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        Models.asked.append(body["model"])
        text = "1" if body["model"] == "judge" else "It is somewhere else."
        content = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def url():
    Models.asked = []
    server = HTTPServer(("127.0.0.1", 0), Models)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_arena_is_run_reported_and_continued(url, tmp_path):
    rows = [{"question": f"Where is {i}?", "passages": [], "answer": f"By gate {i}."} for i in range(3)]
    (tmp_path / "own.json").write_text(json.dumps(rows))
    out = tmp_path / "arena"
    arguments = [
        "arena", "references", f"mine={url}#writer", "--questions", str(tmp_path / "own.json"), "--judge",
        f"{url}#judge", "--out", str(out), "--budget", "2",
    ]  # fmt: skip
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exception is None, result.exception
    report = json.loads(result.stdout)
    (summary,) = report["judges"].values()
    assert report["questions"] == {str(tmp_path / "own.json"): 2}
    assert summary["pairs"][0]["win_rate"]["share"] == 0.5  # each order has its winner
    assert (summary["position"]["share"], summary["agreement_of_orders"]) == (1, 0)
    assert sorted(Models.asked) == ["judge"] * 4 + ["writer"] * 2
    assert {file.name for file in out.iterdir()} >= {"results.json", "ratings.svg", "arena.html", "arena.prom"}
    (verdicts,) = (out / "verdicts").iterdir()
    verdicts.write_text("".join(verdicts.read_text().splitlines(keepends=True)[:-1]))  # as a kill would leave it
    again = CliRunner().invoke(app, [*arguments, "--json"])
    assert again.exception is None
    assert json.loads(again.stdout) == report
    assert Models.asked[6:] == ["judge"] * 2
    assert "shown first" in CliRunner().invoke(app, arguments).stderr
    assert len(Models.asked) == 8
