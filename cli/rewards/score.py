"""`fgctl score`."""

import json
import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from cli.rewards.options import ModelOption
from rewards.errors import FgctlError

if TYPE_CHECKING:
    from rewards.scores import ScoreRequest

_BATCH = 16


def score(model: ModelOption = None) -> None:
    """Score responses: JSON lines of question, passages and response in, the same with `scores` out."""
    from rewards.scorer import Scorer

    scorer = Scorer.load(model)
    for rows, requests in _batches(sys.stdin):
        for row, scored in zip(rows, scorer.score(requests), strict=True):
            print(json.dumps(row | scored.as_json(), ensure_ascii=False), flush=True)


def _batches(lines: IO[str]) -> Iterator[tuple[list[dict[str, Any]], list["ScoreRequest"]]]:
    """Requests in small batches. An invalid line raises FgctlError only after the lines before it were scored."""
    rows: list[dict[str, Any]] = []
    requests: list[ScoreRequest] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            request = _request(row)
        except ValueError as error:
            if rows:
                yield rows, requests
            raise FgctlError(f"Line {number}: {error}; fix it and send the lines from there on again.") from None
        rows.append(row)
        requests.append(request)
        if len(rows) == _BATCH:
            yield rows, requests
            rows, requests = [], []
    if rows:
        yield rows, requests


def _request(row: Any) -> "ScoreRequest":
    """Raises ValueError saying what is wrong with the row."""
    from rewards.dataset import parse_passages
    from rewards.json_rows import unencodable
    from rewards.scores import ScoreRequest

    if not isinstance(row, dict):
        raise ValueError("not a JSON object with question, passages and response")
    if (field := unencodable(row)) is not None:
        raise ValueError(f"{field!r} holds half of a surrogate pair, which is no character")
    for name in ("question", "response"):
        if not isinstance(row.get(name), str):
            raise ValueError(f"{name!r} is missing or not text")
    return ScoreRequest(row["question"], parse_passages(row.get("passages")), row["response"])
