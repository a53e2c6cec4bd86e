"""`fgctl score`."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from cli.rewards.options import ModelOption
from rewards.errors import FgctlError

if TYPE_CHECKING:
    from rewards.categories import CategorySpec
    from rewards.scores import ScoreRequest

_BATCH = 16
_DIGITS = 4


def score(
    weights: Annotated[
        str | None, typer.Option(help="w1,w2,w3 or name=w,…: adds `reward`, what each category earns by these weights.")
    ] = None,
    categories: Annotated[
        str | None, typer.Option(help="name,…: score by these categories alone.", show_default="(all)")
    ] = None,
    model: ModelOption = None,
) -> None:
    """Score responses: JSON lines of question, passages and response in, the same with `scores` out.

    A line without a question is scored by the categories that need only the response.
    """
    from policies.weights import Weights
    from rewards.scorer import Scorer
    from rewards.scores import weighted_rewards

    scorer = Scorer.load(model)
    asked = None if categories is None else _named(categories, scorer.categories)
    weighed = {} if weights is None else Weights.parse(weights, scorer.categories).as_dict()
    weighed = {name: weight for name, weight in weighed.items() if weight > 0 or asked is None or name in asked}
    required = {*(asked or ()), *(name for name, weight in weighed.items() if weight > 0)}
    if asked is not None and (unscored := sorted(required - {*asked})):
        raise FgctlError(f"--weights weighs {', '.join(unscored)}, which --categories leaves out; name it there, too.")
    text_alone = [name for name, spec in scorer.categories.items() if spec.needs == "nothing"]
    for batch in _batches(sys.stdin, sorted(required - {*text_alone})):
        by = [asked or (scorer.categories if "question" in row else text_alone) for row, _ in batch]
        for (row, _), scored in zip(batch, scorer.score_by([request for _, request in batch], by), strict=True):
            reply = row | scored.as_json()
            if weighed:
                rewards = weighted_rewards(scored, weighed, scorer.categories)
                reply["reward"] = _rounded(rewards | {"total": sum(rewards.values())})
            print(json.dumps(reply, ensure_ascii=False), flush=True)


def _named(text: str, categories: Mapping[str, "CategorySpec"]) -> list[str]:
    """Names of categories in use, in their order. Raises FgctlError for any other."""
    names = {name.strip() for name in text.split(",")}
    if unknown := sorted(names - categories.keys()):
        raise FgctlError(f"There is no category {unknown[0]!r}; those in use are {', '.join(categories)}.")
    return [name for name in categories if name in names]


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, _DIGITS) for name, value in values.items()}


def _batches(lines: IO[str], needing: Sequence[str]) -> Iterator[list[tuple[dict[str, Any], "ScoreRequest"]]]:
    """Rows and their requests, in small batches. The categories `needing` cannot do without a question.

    An invalid line raises FgctlError only after the lines before it were scored.
    """
    batch: list[tuple[dict[str, Any], ScoreRequest]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            request = _request(row, needing)
        except ValueError as error:
            if batch:
                yield batch
            raise FgctlError(f"Line {number}: {error}; fix it and send the lines from there on again.") from None
        batch.append((row, request))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _request(row: Any, needing: Sequence[str]) -> "ScoreRequest":
    """Raises ValueError saying what is wrong with the row."""
    from rewards.dataset import parse_passages
    from rewards.json_rows import unencodable
    from rewards.scores import ScoreRequest

    if not isinstance(row, dict):
        raise ValueError("not a JSON object with question, passages and response")
    if (field := unencodable(row)) is not None:
        raise ValueError(f"{field!r} holds half of a surrogate pair, which is no character")
    if not isinstance(row.get("response"), str):
        raise ValueError("'response' is missing or not text")
    if "question" not in row and needing:
        raise ValueError(f"'question' is missing, without which {' and '.join(needing)} cannot be judged")
    if not isinstance(row.get("question", ""), str):
        raise ValueError("'question' is not text")
    return ScoreRequest(row.get("question", ""), parse_passages(row.get("passages")), row["response"])
