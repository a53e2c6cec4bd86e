"""A category that exists by configuration alone."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


class _Judge(BaseHTTPRequestHandler):
    """The probability of an error is the share of capitals among a segment's letters."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        reply = {
            "probabilities": [[_capitals(s["text"]) for s in response["segments"]] for response in body["responses"]]
        }
        content = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


def _capitals(text):
    letters = [c for c in text if c.isalpha()]
    return sum(c.isupper() for c in letters) / max(1, len(letters))


@pytest.fixture(scope="session")
def judge():
    """The URL of an endpoint that judges shouting."""
    server = HTTPServer(("127.0.0.1", 0), _Judge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture
def shouting(judge, tmp_path, monkeypatch):
    """A configured category: a file that FGCTL_CATEGORIES names."""
    file = tmp_path / "categories.toml"
    file.write_text(
        f'[category.shouting]\ndensity = "sentence"\ndescription = "nobody shouts"\nthreshold = 0.75\n'
        f'type = "http"\nurl = "{judge}"\n'
    )
    monkeypatch.setenv("FGCTL_CATEGORIES", str(file))
    return file
