"""`fgctl feedback import`, `export`, `stats`, `annotators`, `delete-person` and `prune`."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cli.output import counting, print_json, print_table, remarks
from rewards.errors import FgctlError
from service.feedback.exchange import FORMATS, format_named

if TYPE_CHECKING:
    from service.feedback.store.feedback_store import FeedbackStore

T = TypeVar("T")
app = typer.Typer(
    help="Import, export, count and delete the feedback that people give on answers.", no_args_is_help=True
)

MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="NAME=CONTROL",
        help="What a control, question or column of another name stands for, for example label=errors; NAME=ignore "
        "leaves it out. May be repeated.",
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", envvar="FGCTL_FEEDBACK_STORE", help="sqlite:///PATH or postgresql://USER@HOST/DATABASE."),
]
FormatOption = Annotated[str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
_REFUSALS_SHOWN = 20


@app.command(name="import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A JSON list, or JSON lines.")],
    file_format: FormatOption = "qa-feedback",
    names: MapOption = None,
    empty_is_clean: Annotated[
        bool, typer.Option("--empty-is-clean", help="In doccano's files: texts without spans were annotated.")
    ] = False,
    store: StoreOption = None,
    json_output: JsonOption = False,
) -> None:
    """Import feedback into the store. What is already stored is skipped; refused records are listed with reasons."""
    from service.feedback.exchange.importing import Imported, import_items
    from service.feedback.exchange.item import LeftOut, ReadOptions

    chosen = format_named(file_format)
    options = ReadOptions(_names(names or [], file_format, chosen.CONTROLS), empty_is_clean)
    records = list(chosen.read(file, options))

    async def import_all(opened: "FeedbackStore") -> Imported:
        with counting(f"Importing {file.name}", len(records)) as advance:
            return await import_items(opened, records, advance)

    report = _with_store(store, import_all)
    if json_output:
        refused = [{"where": refusal.where, "reason": refusal.reason} for refusal in report.refused]
        counts = {"stored": report.stored, "corrected": report.corrected, "again": report.again}
        print_json({**counts, "refused": refused, "left_out": dict(report.left_out)})
    else:
        remarks.print(
            f"{report.stored} stored, {report.corrected} stored as corrections, "
            f"{report.again} already stored, {len(report.refused)} refused."
        )
        if report.left_out:
            parts = ", ".join(f"{number} {what}" for what, number in report.left_out.most_common())
            remarks.print(f"Left out of imported records: {parts}.")
        for refusal in report.refused[:_REFUSALS_SHOWN]:
            remarks.print(f"{refusal.where}: {refusal.reason}")
        if len(report.refused) > _REFUSALS_SHOWN:
            remarks.print(f"and {len(report.refused) - _REFUSALS_SHOWN} more; add --json to list all.")
    if report.refused and len(report.refused) == sum(not isinstance(part, LeftOut) for part in records):
        raise FgctlError(f"No record of {file} could be imported; check that its format is {file_format}.")


def _names(mappings: list[str], file_format: str, controls: tuple[str, ...]) -> dict[str, str]:
    """What `--map` says. Raises FgctlError for a mapping to what the format does not read."""
    from service.feedback.exchange.tasks.controls import IGNORED

    names = {}
    for mapping in mappings:
        name, equals, meant = mapping.partition("=")
        if not controls:
            raise FgctlError(f"The format {file_format} has no controls to map; leave out --map.")
        if not (name and equals and meant in (*controls, IGNORED)):
            choices = f"{', '.join(controls)} or {IGNORED}"
            raise FgctlError(f"--map {mapping} is not NAME=CONTROL; for {file_format}, CONTROL is {choices}.")
        names[name] = meant
    return names


@app.command(name="export")
def export_file(
    file: Annotated[Path, typer.Argument(help="Where to write.")],
    file_format: FormatOption = "qa-feedback",
    store: StoreOption = None,
    json_output: JsonOption = False,
) -> None:
    """Export the latest version of every annotation to a file."""
    from service.feedback.exchange.exporting import export_items
    from service.feedback.exchange.item import Item

    chosen = format_named(file_format)

    async def read_all(opened: "FeedbackStore") -> list[Item]:
        return [item async for item in export_items(opened)]

    count = chosen.write(_with_store(store, read_all), file)
    if json_output:
        print_json({"file": str(file), "annotations": count})
    else:
        remarks.print(f"Wrote {count} annotations to {file}.")


@app.command()
def stats(
    store: StoreOption = None,
    model: Annotated[
        Path | None, typer.Option("--rewards", help="Fitted reward models; by default the shipped ones.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Count feedback, and show how far people and reward models agree and what the models were not fitted on."""
    from rewards.dataset import question_key
    from rewards.models.feedback_rewards import FITTED_REWARDS, load_rewards
    from service.feedback.agreement.from_store import measure_agreement
    from service.feedback.exchange.exporting import export_items

    fitted = load_rewards(model or FITTED_REWARDS)[0]

    async def collect(opened: "FeedbackStore") -> dict[str, Any]:
        items = [item async for item in export_items(opened, borrowing=True)]
        labels = Counter(error.label for item in items for error in item.errors)
        labels.update(gap.label for item in items for gap in item.missing)
        new = {question_key(item.question) for item in items} - set(fitted.questions)
        return {
            "counts": (await opened.counts()).model_dump(),
            "labels": dict(labels.most_common()),
            "rewards": {"version": fitted.version, "questions_not_seen": len(new)},
            "agreement": await measure_agreement(opened),
        }

    report = _with_store(store, collect)
    if json_output:
        print_json(report)
    else:
        _print_stats(report)


def _print_stats(report: dict[str, Any]) -> None:
    counts = [[name.replace("_", " "), number] for name, number in (report["counts"] | report["labels"]).items()]
    print_table("Feedback", ["what", "number"], counts)
    agreement = report["agreement"]
    skips = [
        [kind, reason.replace("_", " "), number]
        for kind, reasons in agreement["feedback"]["skips"].items()
        for reason, number in reasons.items()
    ]
    if skips:
        print_table("Skipped", ["what", "reason", "number"], skips)
    people, models = agreement["people"]["categories"], agreement["models"]
    rows = [
        [
            category,
            _shown(figures["alpha"]),
            figures["responses"],
            _shown(models[category]["alpha"]),
            models[category]["units"],
        ]
        for category, figures in people.items()
    ]
    columns = ["category", "people's alpha", "shared answers", "reward models' alpha", "segments"]
    print_table("Agreement", columns, rows)
    rows = [
        [name, figures["annotations"], *(_shown(figures["categories"][category]["alpha"]) for category in people)]
        for name, figures in agreement["annotators"].items()
    ]
    print_table("Annotators: alpha with everybody else", ["name", "annotations", *people], rows)
    unseen = report["rewards"]["questions_not_seen"]
    remarks.print(
        f"Reward models {report['rewards']['version']} were not fitted on {unseen} of the annotated questions."
    )


def _shown(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.3f}"


@app.command()
def annotators(
    retire: Annotated[
        str | None, typer.Option(help="Stop this annotator from annotating; their annotations stay.")
    ] = None,
    release: Annotated[str | None, typer.Option(help="Let this name belong to the next key that uses it.")] = None,
    store: StoreOption = None,
    json_output: JsonOption = False,
) -> None:
    """List the annotators, retire an annotator, or release a name from its key."""
    from service.feedback.records import AnnotatorInfo

    async def change_and_list(opened: "FeedbackStore") -> list[AnnotatorInfo]:
        if retire is not None:
            await opened.retire(retire)
        if release is not None:
            await opened.release(release)
        return await opened.annotators()

    people = _with_store(store, change_and_list)
    if json_output:
        print_json([person.model_dump(mode="json") for person in people])
        return
    rows = [
        [
            person.name,
            f"{person.created:%Y-%m-%d}",
            f"{person.retired:%Y-%m-%d}" if person.retired else "-",
            person.caller or "-",
        ]
        for person in people
    ]
    print_table("Annotators", ["name", "since", "retired", "key"], rows)


@app.command()
def delete_person(
    name: Annotated[str, typer.Argument(help="An annotator's name, or a caller's id such as key:3f9a1c20.")],
    store: StoreOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Permanently delete everything by an annotator, or by a caller together with the answers it asked for."""
    if not yes:
        typer.confirm(f"Delete everything by {name}?", abort=True, err=True)
    deleted = _with_store(store, lambda opened: opened.delete_person(name))
    if json_output:
        print_json(deleted)
    else:
        summary = ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in deleted.items() if number)
        remarks.print(f"Deleted {summary}." if summary else f"There is nothing by {name}.")


@app.command()
def prune(
    older_than: Annotated[
        int, typer.Option(min=0, envvar="FGCTL_FEEDBACK_KEEP_DAYS", help="Delete answers older than this many days.")
    ],
    everything: Annotated[bool, typer.Option("--everything", help="Also delete answers with feedback.")] = False,
    store: StoreOption = None,
    json_output: JsonOption = False,
) -> None:
    """Delete old answers without feedback."""
    cutoff = datetime.now(UTC) - timedelta(days=older_than)
    deleted = _with_store(store, lambda opened: opened.prune(cutoff, everything=everything))
    if json_output:
        print_json({"responses": deleted})
    else:
        remarks.print(f"Deleted {deleted} answers.")


def _with_store(url: str | None, work: Callable[["FeedbackStore"], Awaitable[T]]) -> T:
    from service.feedback.store.feedback_store import open_store

    if url is None:
        raise FgctlError("No feedback store is named; give --store sqlite:///feedback.db or set FGCTL_FEEDBACK_STORE.")

    async def run() -> T:
        store = await open_store(url)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())
