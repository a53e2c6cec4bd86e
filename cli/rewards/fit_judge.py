"""`fgctl rewards fit-judge`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.output import busy, print_json, remarks


def fit_judge(
    data: Annotated[
        Path | None,
        typer.Option(help="Span feedback (the schema of feedback.json).", show_default="QA-Feedback's"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write judge.json.", show_default="the shipped one")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Fit the judge on the embedded base model: the second opinion of `fgctl evaluate`, which never trains a policy."""
    import numpy as np

    from cli.rewards.feedback_data import require_enough_questions
    from policies.base import resolve_base
    from rewards.dataset import data_file, file_digest, load_feedback
    from rewards.fitting.fit_judge import fit_judge as fit
    from rewards.fitting.fit_judge import judge_agreement, save_judge, tabulate_states
    from rewards.held_out import without_held_out
    from rewards.models.judge import FITTED_JUDGE, LAYER, JudgeTrunk

    path, target = data or data_file("feedback"), out or FITTED_JUDGE
    examples = without_held_out(load_feedback(path))
    require_enough_questions(len(examples), path.name)
    base = resolve_base(None).path
    with busy(f"Reading the feedback of {len(examples)} questions"):
        table = tabulate_states(examples, JudgeTrunk(base))
    with busy("Fitting"):
        figures = judge_agreement(table)
        weights, points = fit(table, np.arange(len(examples)))
    fitted = save_judge(
        target,
        weights,
        points,
        trunk=file_digest(base / "model.safetensors"),
        layer=LAYER,
        data={path.name: file_digest(path)},
        questions=len(examples),
        agreement=figures,
    )
    if json_output:
        print_json({"version": fitted.version, "path": str(target), "questions": len(examples)} | figures)
        return
    remarks.print(f"Judge {fitted.version} in {target}, {len(examples)} questions, out of fold:")
    for name, category in figures.items():
        accuracy = category.get("accuracy", category.get("pairwise_accuracy"))
        macro_f1 = f", macro-F1 {category['macro_f1']:.3f}" if "macro_f1" in category else ""
        remarks.print(f"  {name}: {accuracy:.3f}{macro_f1}")
