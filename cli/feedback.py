"""`fgctl feedback import|export|stats|annotators|delete-person|prune`."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cli.output import counting, print_json, print_table, remarks
from rewards.errors import FgctlError

if TYPE_CHECKING:
    from service.feedback.store.feedback_store import FeedbackStore

T = TypeVar("T")
app = typer.Typer(help="What people say of answers: exchange it, count it, delete it.", no_args_is_help=True)

StoreOption = Annotated[
    str | None,
    typer.Option("--store", envvar="FGCTL_FEEDBACK_STORE", help="sqlite:///PATH or postgresql://USER@HOST/DATABASE."),
]
FormatOption = Annotated[str, typer.Option("--format", help="qa-feedback, label-studio or argilla.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
_REFUSALS_SHOWN = 20


@app.command(name="import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A JSON list, or JSON lines.")],
    file_format: FormatOption = "qa-feedback",
    store: StoreOption = None,
    json_output: JsonOption = False,
) -> None:
    """Take feedback into the store. What is there already is recognised; what is refused is listed with the reason."""
    from service.feedback.exchange import format_named
    from service.feedback.exchange.transfer import Imported, import_items

    records = list(format_named(file_format).read(file))

    async def work(opened: "FeedbackStore") -> Imported:
        with counting(f"Importing {file.name}", len(records)) as advance:
            return await import_items(opened, records, advance)

    report = _with_store(store, work)
    if json_output:
        refused = [{"where": one.where, "reason": one.reason} for one in report.refused]
        print_json({"stored": report.stored, "corrected": report.corrected, "again": report.again, "refused": refused})
    else:
        remarks.print(
            f"{report.stored} stored, {report.corrected} corrections of what was there, "
            f"{report.again} there already, {len(report.refused)} refused."
        )
        for one in report.refused[:_REFUSALS_SHOWN]:
            remarks.print(f"{one.where}: {one.reason}", markup=False)
        if len(report.refused) > _REFUSALS_SHOWN:
            remarks.print(f"and {len(report.refused) - _REFUSALS_SHOWN} more; --json lists all.")
    if report.refused and len(report.refused) == len(records):
        raise FgctlError(f"Nothing of {file} could be taken; see that it is in the format {file_format}.")


@app.command(name="export")
def export_file(
    file: Annotated[Path, typer.Argument(help="Where to write.")],
    file_format: FormatOption = "qa-feedback",
    store: StoreOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write the latest version of every annotation to a file."""
    from service.feedback.exchange import Item, format_named
    from service.feedback.exchange.transfer import export_items

    chosen = format_named(file_format)

    async def work(opened: "FeedbackStore") -> list[Item]:
        return [item async for item in export_items(opened)]

    count = chosen.write(_with_store(store, work), file)
    if json_output:
        print_json({"file": str(file), "annotations": count})
    else:
        remarks.print(f"Wrote {count} annotations to {file}.")


@app.command()
def stats(
    store: StoreOption = None,
    model: Annotated[
        Path | None, typer.Option("--rewards", help="Fitted reward models; the shipped ones by default.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Count feedback, say how far people and reward models agree, and what the reward models have not seen."""
    from rewards.dataset import question_key
    from rewards.models.feedback_rewards import FITTED_REWARDS, load_rewards
    from service.feedback.exchange.transfer import export_items
    from service.feedback.stored_judgements import agreement

    fitted = load_rewards(model or FITTED_REWARDS)[0]

    async def work(opened: "FeedbackStore") -> dict[str, Any]:
        items = [item async for item in export_items(opened, borrowing=True)]
        labels = Counter(one.label for item in items for one in item.errors)
        labels.update(one.label for item in items for one in item.missing)
        new = {question_key(item.question) for item in items} - set(fitted.questions)
        return {
            "counts": (await opened.counts()).model_dump(),
            "labels": dict(labels.most_common()),
            "rewards": {"version": fitted.version, "questions_not_seen": len(new)},
            "agreement": await agreement(opened),
        }

    report = _with_store(store, work)
    if json_output:
        print_json(report)
    else:
        _print_stats(report)


def _print_stats(report: dict[str, Any]) -> None:
    counts = [[name.replace("_", " "), number] for name, number in (report["counts"] | report["labels"]).items()]
    print_table("Feedback", ["what", "number"], counts)
    agreed = report["agreement"]
    people, models = agreed["people"]["categories"], agreed["models"]
    rows = [
        [category, _shown(one["alpha"]), one["responses"], _shown(models[category]["alpha"]), models[category]["units"]]
        for category, one in people.items()
    ]
    columns = ["category", "people's alpha", "shared answers", "reward models' alpha", "segments"]
    print_table("Agreement", columns, rows)
    rows = [
        [name, one["annotations"], *(_shown(one["categories"][category]["alpha"]) for category in people)]
        for name, one in agreed["annotators"].items()
    ]
    print_table("Annotators, alpha with the others", ["name", "annotations", *people], rows)
    waiting = report["rewards"]["questions_not_seen"]
    remarks.print(
        f"{waiting} annotated questions that reward models {report['rewards']['version']} were not fitted on."
    )


def _shown(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.3f}"


@app.command()
def annotators(
    retire: Annotated[str | None, typer.Option(help="End this annotator's work; what was annotated stays.")] = None,
    release: Annotated[str | None, typer.Option(help="Let this name belong to the key that uses it next.")] = None,
    store: StoreOption = None,
    json_output: JsonOption = False,
) -> None:
    """List who annotates, retire somebody, or take a name from its key."""
    from service.feedback.records import AnnotatorInfo

    async def work(opened: "FeedbackStore") -> list[AnnotatorInfo]:
        if retire is not None:
            await opened.retire(retire)
        if release is not None:
            await opened.release(release)
        return await opened.annotators()

    found = _with_store(store, work)
    if json_output:
        print_json([one.model_dump(mode="json") for one in found])
        return
    rows = [
        [one.name, f"{one.created:%Y-%m-%d}", f"{one.retired:%Y-%m-%d}" if one.retired else "-", one.caller or "-"]
        for one in found
    ]
    print_table("Annotators", ["name", "since", "retired", "key"], rows)


@app.command()
def delete_person(
    name: Annotated[str, typer.Argument(help="An annotator's name, or a caller's id.")],
    store: StoreOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Delete everything by a person: annotations, comparisons, and, of a caller, the answers. There is no way back."""
    if not yes:
        typer.confirm(f"Delete everything by {name}?", abort=True, err=True)
    deleted = _with_store(store, lambda opened: opened.delete_person(name))
    if json_output:
        print_json(deleted)
    else:
        said = ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in deleted.items() if number)
        remarks.print(f"Deleted {said}." if said else f"There is nothing by {name}.", markup=False)


@app.command()
def prune(
    older_than: Annotated[
        int, typer.Option(min=0, envvar="FGCTL_FEEDBACK_KEEP_DAYS", help="Days for which answers are kept.")
    ],
    everything: Annotated[bool, typer.Option("--everything", help="Also what people have judged.")] = False,
    store: StoreOption = None,
    json_output: JsonOption = False,
) -> None:
    """Delete answers that are old and that nobody has judged."""
    before = datetime.now(UTC) - timedelta(days=older_than)
    deleted = _with_store(store, lambda opened: opened.prune(before, everything=everything))
    if json_output:
        print_json({"responses": deleted})
    else:
        remarks.print(f"Deleted {deleted} answers.")


def _with_store(url: str | None, work: Callable[["FeedbackStore"], Awaitable[T]]) -> T:
    from service.feedback.store.feedback_store import open_store

    if url is None:
        raise FgctlError("Say where the feedback is: --store sqlite:///feedback.db, or FGCTL_FEEDBACK_STORE.")

    async def opened() -> T:
        store = await open_store(url)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(opened())
