"""Some answers to validation questions, written at each evaluation: to be read before trusting a reward."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from policies.store.replace_file import replace_file
from rewards.scores import ScoreRequest

TEXTS = "validation"
"""The folder of the files, which are named by episodes."""


def write_texts(
    requests: Sequence[ScoreRequest],
    references: Sequence[str],
    per_question: Mapping[str, Any],
    episodes: int,
    run: Path,
) -> None:
    """Write answers, to the same questions every time, beside the reference answers.

    `per_question` holds the values by question of a report on the answers.
    """
    if not requests:
        return
    parts = [f"# After {episodes} episodes"]
    for i, request in enumerate(requests):
        earned = ", ".join(f"{name} {values[i]:+.2f}" for name, values in per_question["reward"].items())
        copied = per_question["copied"]
        parts += [
            f"## {request.question}",
            f"**Answer** ({per_question['words'][i]} words, {copied['share'][i]:.0%} copied, longest run "
            f"{copied['longest'][i]}; {earned})",
            request.response,
            "**Reference answer**",
            references[i],
            f"Passages: {', '.join(passage.title for passage in request.passages) or 'none'}",
        ]
    (run / TEXTS).mkdir(exist_ok=True)
    replace_file(run / TEXTS / f"{episodes:06d}.md", "\n\n".join(parts) + "\n")
