"""`fgctl sft` and `fgctl train`."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import print_json, print_table, remarks
from cli.policies_option import PoliciesOption
from cli.training.options import BaseOption, FilesOption, RecipeOption, RewardsOption, SetOption, TaskOption

if TYPE_CHECKING:
    from policies.manifest import PolicyManifest
    from trainer.recipe import Recipe
    from trainer.tracking.run_copy import RunCopy
    from trainer.tracking.training_data import TrainingData

RunOption = Annotated[
    str | None,
    typer.Option(
        help="Directory for checkpoints and logs, or the URL of a copy of it (s3://, gs://, az://), from which any "
        "machine continues the run.",
        show_default="runs/…",
    ),
]
PromoteOption = Annotated[bool, typer.Option("--promote", help="Serve the new version.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show the settings, the size of the run and its data, without training.")
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Stop if rows of the data cannot be used or repeat a question.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the new version's policy.json.")]


def sft(
    recipe: RecipeOption = "cpu",
    base: BaseOption = None,
    data: FilesOption = None,
    run: RunOption = None,
    overrides: SetOption = None,
    promote: PromoteOption = False,
    strict: StrictOption = False,
    dry_run: DryRunOption = False,
    policies: PoliciesOption = None,
    json_output: JsonOption = False,
) -> None:
    """Train the supervised parent of all policies. After an interruption, the same command continues."""
    from trainer.recipe import load_recipe

    settings = load_recipe(recipe, overrides or [])

    from policies.base import load_tokenizer, resolve_base
    from policies.store import SFT, PolicyStore
    from rewards.dataset import data_file
    from trainer.processes import Processes
    from trainer.sft import SftJob, train_sft
    from trainer.tracking.training_data import read_training_data

    path, *further = data or [data_file("train")]
    where, copy = _run(run, SFT, recipe, overrides, base, path, *further)
    model = resolve_base(base)
    rows = read_training_data(path, load_tokenizer(model), settings, "sft", further=further)
    if dry_run:
        _preview(settings, ("sft",) if settings.sft.lora else ("lora", "sft"), rows, where, strict, json_output)
        return
    processes = Processes()
    _report_data(rows, strict, processes.main)
    manifest = train_sft(SftJob(model, path, recipe, settings, where, tuple(further), copy), PolicyStore(), processes)
    if processes.main:
        _report(manifest, where, promote, json_output)


def train(
    profile: Annotated[str, typer.Option(help="The profile that the policy is for.")],
    weights: Annotated[
        str | None,
        typer.Option(
            help="w1,w2,w3 for relevance, factuality and completeness, or name=w,…; they are normalised.",
            show_default="the task's; qa has none",
        ),
    ] = None,
    task: TaskOption = "qa",
    recipe: Annotated[
        str | None,
        typer.Option(help="Name of a recipe, or a TOML file of settings.", show_default="cpu, or the task's"),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="PPO steps.", show_default="of the recipe")] = None,
    until_best: Annotated[
        bool,
        typer.Option(
            "--until-best",
            help="Store the best checkpoint on the validation questions, and end when none is better for "
            "ppo.validation.patience episodes.",
        ),
    ] = False,
    start_from: Annotated[
        str | None,
        typer.Option(
            help="A policy on the same parent, PROFILE or PROFILE@VERSION, that the new one begins as: fewer steps "
            "where the weights are near. KL is measured to the parent all the same.",
            show_default="the parent",
        ),
    ] = None,
    rewards: RewardsOption = None,
    base: BaseOption = None,
    data: FilesOption = None,
    run: RunOption = None,
    overrides: SetOption = None,
    promote: PromoteOption = False,
    strict: StrictOption = False,
    dry_run: DryRunOption = False,
    policies: PoliciesOption = None,
    json_output: JsonOption = False,
) -> None:
    """Train a policy for reward weights by fine-grained PPO. After an interruption, the same command continues."""
    from policies.names import DEFAULT_PROFILE, SFT, check_name
    from policies.weights import Weights
    from rewards.errors import FgctlError
    from trainer.recipe import load_recipe
    from trainer.tasks.task import DEFAULT_TASK, load_task

    learned = load_task(task)
    recipe = recipe or learned.recipe
    if weights is None and learned.weights is None:
        raise FgctlError("A policy needs reward weights; give --weights, for example 0.3,0.5,0.2.")
    wanted = Weights.parse(weights or learned.weights or "", learned.categories())
    check_name(profile)
    if profile in (SFT, "base"):
        raise FgctlError(f"The profile name {profile!r} is reserved; choose another, for example {DEFAULT_PROFILE}.")
    settings = load_recipe(recipe, [*(overrides or []), *([f"ppo.steps={steps}"] if steps else [])])

    from policies.base import load_tokenizer, resolve_base
    from policies.store import PolicyStore
    from rewards.models.judge import Judge
    from trainer.ppo_run import PpoJob, train_policy
    from trainer.processes import Processes

    path, *further = data or [learned.data_file()]
    also = [*([rewards] if rewards else []), *further, *([] if task == DEFAULT_TASK else [task])]
    also += [start_from] if start_from else []
    where, copy = _run(run, profile, recipe, overrides, base, path, wanted.as_dict(), *also)
    model = resolve_base(base)
    rows = learned.training_data(path, load_tokenizer(model), settings, until_best=until_best, further=further)
    if dry_run:
        _preview(settings, ("lora", "ppo"), rows, where, strict, json_output)
        return
    scorer, processes = learned.load_scorer(rewards), Processes()
    _report_data(rows, strict, processes.main)
    job = PpoJob(
        profile, wanted, model, path, recipe, settings, where, until_best, tuple(further), copy, learned, start_from
    )
    manifest = train_policy(job, PolicyStore(), scorer, processes, lambda: Judge.load(resolve_base(None).path))
    if processes.main:
        _report(manifest, where, promote, json_output)


def _run(wanted: str | None, name: str, *settings: Any) -> tuple[Path, "RunCopy | None"]:
    """The directory of a run, and its copy if a URL was named.

    Without a name, the same settings find their run again, and other settings get a new directory.
    """
    if wanted and "://" not in wanted:
        return Path(wanted), None
    digest = hashlib.sha256(json.dumps(wanted or settings, default=str, sort_keys=True).encode()).hexdigest()
    directory = Path("runs") / f"{name}-{digest[:8]}"
    if not wanted:
        return directory, None
    from policies.store.objects import CloudObjects
    from trainer.tracking.run_copy import RunCopy

    return directory, RunCopy(CloudObjects(wanted), directory)


def _report_data(data: "TrainingData", strict: bool, aloud: bool = True) -> None:
    if aloud:
        for sentence in data.report():
            remarks.print(sentence)
    if strict:
        data.require_clean()


def _preview(
    recipe: "Recipe", parts: tuple[str, ...], data: "TrainingData", run: Path, strict: bool, json_output: bool
) -> None:
    """Show every setting that the run reads, with its meaning, how much it would do, and which rows it would use."""
    questions = len(data.examples)
    work: dict[str, Any] = {"run": str(run), "data": _names(data), "questions": questions}
    work |= {"validation_questions": len(data.validation)}
    if "ppo" in parts:
        ppo = recipe.ppo
        episodes = ppo.steps * ppo.episodes_per_step
        work |= {"steps": ppo.steps, "episodes": episodes, "most_tokens_sampled": episodes * ppo.max_new_tokens}
    else:
        examples = min(questions, recipe.sft.max_examples or questions)
        work |= {"steps": recipe.sft.epochs * -(-examples // recipe.sft.batch_size), "examples": examples}
    if json_output:
        if strict:
            data.require_clean()
        print_json(work | _rows(data) | {"recipe": recipe.model_dump(mode="json", include={*parts, *_SHARED})})
        return
    print_table(
        "What the run would do", ["what", "value"], [[name.replace("_", " "), value] for name, value in work.items()]
    )
    settings = [
        [name, str(value), meaning]
        for name, value, meaning in recipe.settings()
        if name.split(".")[0] in (*parts, *_SHARED)
    ]
    print_table("Settings, to be changed by --set", ["setting", "value", "meaning"], settings)
    _report_data(data, strict)


def _names(data: "TrainingData") -> str:
    return ", ".join(str(file.path) for file in data.files or (data,))


def _rows(data: "TrainingData") -> dict[str, Any]:
    """How many rows there are, and which are left out or repeated; of several files also those of each."""
    rows: dict[str, Any] = {"rows": data.rows, "left_out": data.dropped, "repeated": data.repeated}
    return rows | {"files": [{"data": str(file.path)} | _rows(file) for file in data.files]} if data.files else rows


_SHARED = ("forward_tokens", "gradient_checkpointing")
"""Settings of both trainings."""


def _report(manifest: "PolicyManifest", run: Path, promote: bool, json_output: bool) -> None:
    from policies.store import PolicyStore

    store = PolicyStore()
    if json_output:
        print_json(manifest.model_dump(mode="json"))
    else:
        where = store.path(manifest.profile, manifest.version)
        where = where.relative_to(Path.cwd()) if where.is_relative_to(Path.cwd()) else where
        remarks.print(f"Stored {manifest.profile}@{manifest.version} in {where}.")
        remarks.print(f"The run's log: tensorboard --logdir {run / 'tensorboard'}")
    if promote:
        store.promote(manifest.profile, manifest.version, "trained with --promote")
    elif not json_output:
        remarks.print(f"To serve it: fgctl policies promote {manifest.profile} {manifest.version}")
