"""A category that exists by configuration alone."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
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


@pytest.fixture
def evaluated():
    """Makes reports of `fgctl evaluate` with random values by question, as far as statistics and tables read them."""

    def make(profile, version="1", seed=0, questions=20, asked="a", judged=True):
        rng = np.random.default_rng(seed)

        def judgements():
            segments = {c: rng.integers(0, 6, questions) for c in ("relevance", "factuality")}
            return {
                "completeness": rng.normal(size=questions).tolist(),
                "segments": {c: n.tolist() for c, n in segments.items()},
                "errors": {c: rng.binomial(n, 0.4).tolist() for c, n in segments.items()},
            }

        per_question = judgements() | {
            "reward": {c: rng.normal(size=questions).tolist() for c in ("relevance", "factuality", "completeness")},
            "words": rng.integers(20, 120, questions).tolist(),
            "rouge_lsum": rng.uniform(0, 100, questions).tolist(),
            "repetition": rng.uniform(0, 1, questions).tolist(),
            "truncated": rng.integers(0, 2, questions).tolist(),
            "nll": rng.uniform(0, 3, questions).tolist(),
            "nll_tokens": rng.integers(0, 90, questions).tolist(),
            "judge": judgements() if judged else None,
        }
        weights = {"relevance": 0.2, "factuality": 0.5, "completeness": 0.3}
        return {
            "profile": profile, "version": version, "questions": asked, "rewards": "r", "weights": weights,
            "per_question": per_question,
        }  # fmt: skip

    return make
