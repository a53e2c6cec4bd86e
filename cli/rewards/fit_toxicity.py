"""`fgctl rewards fit-toxicity` and `evaluate-toxicity`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import busy, print_json, print_table, remarks

if TYPE_CHECKING:
    from rewards.toxicity.evaluation import TextScorer

PromptsOption = Annotated[
    Path | None,
    typer.Option(help="Rated texts (JSON lines of RealToxicityPrompts).", show_default="RealToxicityPrompts"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


def fit_toxicity(
    data: PromptsOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write toxicity.json.", show_default="the shipped one")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Fit the toxicity scorer on rated texts, without the held-out prompts, and report how well it agrees on those."""
    from rewards.dataset import file_digest
    from rewards.toxicity.data import load_prompts, only, prompts_file, rated_texts
    from rewards.toxicity.evaluation import agreement
    from rewards.toxicity.fitting import fit_toxicity as fit
    from rewards.toxicity.model import FITTED_TOXICITY, FittedToxicity, ToxicityModel, save_model

    path, target = data or prompts_file(), out or FITTED_TOXICITY
    rows = load_prompts(path)
    texts, scores = rated_texts(only(rows, "training"))
    with busy(f"Fitting on {len(texts)} texts"):
        parts = fit(texts, scores)
    fields: dict[str, Any] = {"data": {path.name: file_digest(path)}, "texts": len(texts)}
    unsaved = FittedToxicity(version="", head=parts.head, agreement={}, **fields)
    figures = agreement(only(rows, "held-out"), ToxicityModel(parts.learned, unsaved))
    fitted = save_model(target, parts.learned, parts.head, agreement=figures, **fields)
    if json_output:
        print_json({"version": fitted.version, "path": str(target), "texts": len(texts), "held_out": figures})
        return
    remarks.print(f"Toxicity scorer {fitted.version} in {target}, fitted on {len(texts)} texts.")
    _print_agreement({"toxicity": figures})


def evaluate_toxicity(
    data: PromptsOption = None,
    every: Annotated[bool, typer.Option("--all", help="All rows of the data, not only the held-out prompts.")] = False,
    model: Annotated[
        Path | None, typer.Option("--toxicity", help="A fitted toxicity.json; the shipped one by default.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Compare the toxicity scorer and the second opinion with Perspective and with people's spans, and probe them."""
    from rewards.toxicity.data import load_prompts, load_spans, only, prompts_file, rated_texts, spans_file
    from rewards.toxicity.evaluation import against_spans, agreement, milliseconds, on_probes
    from rewards.toxicity.model import ToxicityModel
    from rewards.toxicity.second_opinion import SecondOpinion

    rows = load_prompts(data or prompts_file())
    rows = rows if every else only(rows, "held-out") or rows
    own = ToxicityModel.load(model)
    scorers: dict[str, TextScorer] = {"toxicity": own, "second opinion": SecondOpinion.load()}
    comments = load_spans(path) if (path := spans_file()) else []
    with busy(f"Scoring {len(rows)} prompts and {len(comments)} comments"):
        figures: dict[str, dict[str, Any]] = {
            name: {
                "perspective": agreement(rows, scorer),
                "spans": against_spans(comments, scorer),
                "probes": on_probes(scorer),
                "milliseconds": milliseconds(rated_texts(rows)[0], scorer),
            }
            for name, scorer in scorers.items()
        }
    if json_output:
        print_json({"version": own.version, "prompts": len(rows)} | figures)
        return
    _print_agreement({name: values["perspective"] for name, values in figures.items()})
    _print_the_rest(figures)


def _print_agreement(figures: dict[str, dict[str, Any]]) -> None:
    rows = [
        [name, part, values["n"], _with_interval(values, "spearman"), _with_interval(values, "auc"),
         _number(values["calibration_error"]), _number(values["mean_error"])]
        for name, parts in figures.items() for part, values in parts.items()
    ]  # fmt: skip
    columns = ["scorer", "texts", "n", "Spearman", "AUC", "calibration error", "mean error"]
    print_table("Agreement with Perspective, with 95 % intervals", columns, rows)


def _print_the_rest(figures: dict[str, dict[str, Any]]) -> None:
    rows = [
        [name, values["spans"]["comments"], _number(values["spans"]["auc"]), _number(values["spans"]["worst_marked"]),
         f"{values['milliseconds']:.2f} ms"]
        for name, values in figures.items()
    ]  # fmt: skip
    columns = ["scorer", "comments", "AUC of sentences", "worst sentence is marked", "cost of a text"]
    print_table("Agreement with people's toxic spans", columns, rows)
    kinds = next(iter(figures.values()))["probes"]
    rows = [
        [kind, "yes" if row["toxic"] else "no", row["n"],
         *(_number(values["probes"][kind]["counted_toxic"]) for values in figures.values())]
        for kind, row in kinds.items()
    ]  # fmt: skip
    print_table("Share of the probes that counts as toxic", ["probe", "toxic", "n", *figures], rows)


def _with_interval(values: dict[str, Any], name: str) -> str:
    if values[name] is None:
        return ""
    low, high = values[f"{name}_interval"]
    return f"{values[name]:.3f} [{low:.3f}, {high:.3f}]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
