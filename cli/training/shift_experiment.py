"""`fgctl experiment shift`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.output import busy, print_json, print_table, remarks


def shift(
    data: Annotated[
        Path | None,
        typer.Option(help="Feedback of home traffic, in the schema of feedback.json."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory for results.", show_default="runs/experiments/shift")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Measure the warning of answers unlike the annotated ones: false alarms at home, hits on other people's answers.

    It needs no model and takes less than a minute.
    """
    import json

    from rewards.dataset import data_file, load_feedback
    from rewards.heads.stored_json import write_in_one_step
    from rewards.quality.public_sets import SETS, load_public_set
    from rewards.quality.shift_study import study_shifts
    from rewards.scores import ScoreRequest

    examples = load_feedback(data or data_file("feedback"))
    home = [ScoreRequest(e.question, e.passages, e.predictions[0]) for e in examples]
    elsewhere = {name: [labelled.request for labelled in load_public_set(name)] for name in SETS}
    with busy("Comparing"):
        results = study_shifts(home, elsewhere)
    path = (out or Path("runs") / "experiments" / "shift") / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_in_one_step(path, json.dumps(results, indent=1) + "\n")
    if json_output:
        print_json(results)
        return
    rows = [[name, row["answers"], row["warned"], row["ranges"]] for name, row in results.items()]
    columns = ["set", "answers", "warned about", "by single ranges alone"]
    print_table("Answers unlike the annotated ones", columns, rows)
    remarks.print(f"Raw numbers: {path}.")
