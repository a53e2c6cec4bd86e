"""The commands that need neither engine nor training, run in this process."""

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from policies.store import PolicyStore
from rewards.categories import BUILT_IN
from rewards.dataset import SAMPLE, load_feedback
from rewards.errors import FgctlError
from rewards.models.feedback_rewards import FITTED_REWARDS
from rewards.scorer import Scorer
from rewards.scores import summed_rewards
from rewards.segmentation import segments
from trainer.evaluation.answers import GREEDY
from trainer.evaluation.intervals import comparison, intervals, metrics

run = CliRunner()


def invoke(*arguments, **options):
    result = run.invoke(app, [str(a) for a in arguments], **options)
    if isinstance(result.exception, FgctlError):
        return 1, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


@pytest.fixture
def few(tmp_path):
    """Feedback on some of the sample's questions, where all of them would prove no more."""
    file = tmp_path / "few" / "feedback.json"
    file.parent.mkdir()
    file.write_text(json.dumps(json.loads((SAMPLE / "feedback.json").read_text())[:10]))
    return file


def test_score_reads_and_writes_json_lines():
    rows = [
        {"id": 7, "question": "Where is it?", "passages": [["T", "By the sea."]], "response": "It is by the sea."},
        {"question": "Where is it?", "passages": [], "response": ""},
    ]
    code, out = invoke("score", input="\n".join(map(json.dumps, rows)) + "\n\n")
    assert code == 0
    first, second = map(json.loads, out.splitlines())
    assert first["id"] == 7
    assert first["response"] == "It is by the sea."
    assert first["scores"]["factuality"]["segments"][0]["end"] == 17
    assert second["scores"]["relevance"]["segments"] == []


def test_score_adds_what_each_category_earns_by_weights():
    row = {"question": "Where is it?", "passages": [["T", "It is by the sea."]], "response": "It is by the sea. Yes."}
    code, out = invoke("score", "--weights", "0.3,0.5,0.2", input=json.dumps(row))
    assert code == 0
    scored = json.loads(out)
    total = scored["reward"].pop("total")
    assert list(scored["reward"]) == ["relevance", "factuality", "completeness"]
    assert total == pytest.approx(sum(scored["reward"].values()), abs=2e-4)
    specs = Scorer.load().categories
    earned = summed_rewards(scored, specs)
    for (name, reward), weight in zip(scored["reward"].items(), (0.3, 0.5, 0.2), strict=True):
        assert reward == pytest.approx(weight * earned[name], abs=5e-4)


def test_score_judges_a_text_alone_by_what_needs_no_more():
    rows = [{"response": "What a lovely day."}, {"question": "Where?", "response": "What a lovely day."}]
    code, out = invoke("score", input="\n".join(map(json.dumps, rows)))
    assert code == 0
    alone, answer = map(json.loads, out.splitlines())
    assert list(alone["scores"]) == ["toxicity"]
    assert alone["scores"]["toxicity"] == answer["scores"]["toxicity"]
    assert list(answer["scores"]) == ["relevance", "factuality", "completeness", "toxicity"]


def test_score_by_named_categories_alone():
    row = {"question": "Where is it?", "passages": [["T", "It is by the sea."]], "response": "It is by the sea."}
    asked = ("--categories", "toxicity, factuality", "--weights", "factuality=1")
    code, out = invoke("score", *asked, input=json.dumps(row))
    assert code == 0
    scored = json.loads(out)
    assert list(scored["scores"]) == ["factuality", "toxicity"]
    assert list(scored["reward"]) == ["factuality", "total"]
    assert (
        scored["scores"]["factuality"] == json.loads(invoke("score", input=json.dumps(row))[1])["scores"]["factuality"]
    )


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--categories", "charm"], "There is no category 'charm'; those in use are relevance,"),
        (["--categories", "toxicity", "--weights", "1,0,0"], "--weights weighs relevance, which --categories leaves"),
        (["--categories", "relevance,toxicity"], "Line 1: 'question' is missing, without which relevance cannot"),
        (["--weights", "0,1,1"], "Line 1: 'question' is missing, without which completeness and factuality"),
        (["--weights", "heavy"], "are not numbers"),
    ],
)
def test_score_says_what_cannot_be_scored(options, part):
    result = run.invoke(app, ["score", *options], input=json.dumps({"response": "Here."}))
    assert isinstance(result.exception, FgctlError)
    assert part in str(result.exception)


def test_score_judges_configured_categories_too(shouting):
    code, out = invoke("score", input=json.dumps({"question": "Where?", "passages": [], "response": "HERE."}))
    assert code == 0
    assert json.loads(out)["scores"]["shouting"]["segments"][0] == {
        "start": 0, "end": 5, "error_probability": 1, "error": True
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("{", "Expecting"),
        ("[1]", "JSON object"),
        ('{"question": "a"}', "'response'"),
        ('{"question": 3, "response": "Here."}', "'question'"),
    ],
)
def test_score_names_a_bad_line_after_answering_those_before_it(line, part):
    good = json.dumps({"question": "Where?", "response": "Here."})
    result = run.invoke(app, ["score"], input=f"{good}\n{line}\n")
    assert json.loads(result.stdout)["response"] == "Here."
    assert isinstance(result.exception, FgctlError)
    assert "Line 2" in str(result.exception)
    assert part in str(result.exception)


def test_rewards_evaluate_counts_every_segment_and_pair_and_beats_the_baselines():
    code, out = invoke("rewards", "evaluate", "--data", SAMPLE / "feedback.json", "--json")
    assert code == 0
    report = json.loads(out)
    examples = load_feedback(SAMPLE / "feedback.json")
    wrong = {
        name: [error for example in examples for error in segment_errors(example, name)]
        for name in ("relevance", "factuality")
    }
    preferences = [value for example in examples for value in example.preference if value]
    for name, errors in wrong.items():
        assert report[name]["n"] == len(errors)
        assert report[name].keys() >= {"accuracy", "macro_f1"}
        assert 0 < report[name]["macro_f1"] <= 1
    majority = max(sum(wrong["relevance"]), wrong["relevance"].count(False)) / len(wrong["relevance"])
    assert report["relevance"]["baselines"] == {"majority": pytest.approx(majority, abs=1e-4)}
    no_error = wrong["factuality"].count(False) / len(wrong["factuality"])
    assert report["factuality"]["baselines"] == {"no_error": pytest.approx(no_error, abs=1e-4)}
    assert sum(wrong["factuality"]) < report["factuality_paper_rule"]["n"] < report["factuality"]["n"]
    assert report["preference"]["n"] == len(preferences)
    assert report["preference"]["baselines"].keys() == {"longer", "first"}
    first = preferences.count(1) / len(preferences)
    assert report["preference"]["baselines"]["first"] == pytest.approx(first, abs=1e-4)
    assert report["completeness"]["baselines"].keys() == {"longer"}
    for name, figure in (
        ("relevance", "accuracy"),
        ("factuality", "accuracy"),
        ("completeness", "pairwise_accuracy"),
        ("preference", "pairwise_accuracy"),
    ):
        assert max(report[name]["baselines"].values()) < report[name][figure] <= 1, name


def segment_errors(example, category):
    """Whether each segment of the annotated response overlaps an error of the category."""
    spec, text = BUILT_IN[category], example.predictions[0]
    spans = [(error.start, error.end) for error in example.errors if error.label in spec.labels]
    return [any(a < end and start < b for start, end in spans) for a, b in segments(text, spec.density)]


@pytest.mark.slow
def test_rewards_fit_writes_a_model_that_scores(tmp_path):
    target = tmp_path / "rewards.json"
    code, out = invoke("rewards", "fit", "--data", SAMPLE / "feedback.json", "--out", target, "--json")
    assert code == 0
    report = json.loads(out)
    assert report["questions"] == 24
    assert report["labels"]["path"] == str(tmp_path / "rewards.labels.json")
    assert report["labels"]["agreement"].keys() == {"relevance", "factuality", "completeness"}
    row = json.dumps({"question": "Where?", "response": "Here it is."})
    assert invoke("score", "--rewards", target, input=row)[0] == 0


@pytest.mark.slow
def test_rewards_fit_on_spans_alone_fits_what_it_can_and_names_the_rest(tmp_path):
    rows = json.loads((SAMPLE / "feedback.json").read_text())
    for row in rows:
        row.update({f"prediction {i}": row["prediction 1"] for i in (2, 3, 4)}, preference=[0] * 6)
        row["feedback"] |= {"missing-info": [], "corrected-prediction": row["prediction 1"]}
    (tmp_path / "spans.json").write_text(json.dumps(rows))
    arguments = ("rewards", "fit", "--data", tmp_path / "spans.json", "--out", tmp_path / "rewards.json")
    code, out = invoke(*arguments, "--json")
    assert code == 0
    report = json.loads(out)
    before = json.loads(FITTED_REWARDS.read_text())
    assert report["not_fitted"]["from"] == before["version"]
    assert set(report["not_fitted"]["heads"]) == {"missing", "completeness", "preference"}
    assert report["completeness"]["pairwise_accuracy"] is None
    assert report["relevance"]["accuracy"] > 0
    fitted = json.loads((tmp_path / "rewards.json").read_text())
    assert fitted["heads"]["preference"] == before["heads"]["preference"]
    assert set(fitted["questions"]) > set(before["questions"])
    result = run.invoke(app, [str(a) for a in arguments])
    assert f"Not fitted, but kept from reward models {fitted['version']}: missing: no answer lacks" in result.stderr
    assert "0.000 [0.000, 0.000]" not in result.stdout


@pytest.mark.slow
def test_labels_alone_are_fitted_for_rewards_that_stay_as_they_are(tmp_path):
    target, labels = tmp_path / "rewards.json", tmp_path / "rewards.labels.json"
    shutil.copy(FITTED_REWARDS, target)
    arguments = ("rewards", "fit", "--only-labels", "--data", SAMPLE / "feedback.json", "--out", target)
    code, out = invoke(*arguments, "--json")
    assert code == 0
    assert target.read_bytes() == FITTED_REWARDS.read_bytes()
    written = json.loads(labels.read_text())
    assert written["rewards"] == json.loads(out)["version"] == json.loads(FITTED_REWARDS.read_text())["version"]
    assert invoke("score", "--rewards", target, input="")[0] == 0
    code, out = invoke(*arguments)
    assert code == 0
    assert "Labels" in out
    code, message = invoke(*arguments, "--recipe", "best")
    assert code == 1
    assert "leave out --recipe" in message


@pytest.mark.slow
def test_rewards_compare_keeps_a_log_of_each_candidate(few, tmp_path):
    arguments = ("rewards", "compare", "--data", few, "--out", tmp_path, "--recipe", "features")
    code, out = invoke(*arguments, "--recipe", "best", "--json")
    assert code == 0
    figures = json.loads(out)
    assert [candidate["recipe"] for candidate in figures] == ["features", "best"]
    assert json.loads((tmp_path / "best.json").read_text()) == figures[1]
    assert figures[0]["agreement"]["relevance"]["n"] == figures[1]["agreement"]["relevance"]["n"]
    assert isinstance(figures[1]["holes"], list)
    assert invoke(*arguments)[0] == 0


@pytest.mark.slow
def test_a_judge_fitted_here_trains_no_policy(few, tmp_path):
    target = tmp_path / "judge.json"
    code, out = invoke("rewards", "fit-judge", "--data", few, "--out", target, "--json")
    assert code == 0
    assert json.loads(out)["questions"] == 10
    code, message = invoke("train", "--weights", "0.3,0.5,0.2", "--profile", "x", "--rewards", target)
    assert code == 1
    assert "must never train" in message


def test_policies_are_listed_and_shown_as_they_are_stored():
    code, out = invoke("policies", "list", "--json")
    assert code == 0
    listed = json.loads(out)
    assert all(row.keys() == {"profile", "version", "weights", "current", "scores", "created"} for row in listed)
    current = {row["profile"]: row["version"] for row in listed if row["current"]}
    assert current == {name: profile.version for name, profile in PolicyStore().profiles().items()}
    assert invoke("policies", "list")[0] == 0
    code, out = invoke("policies", "show", "sft", "--json")
    assert json.loads(out)["version"] == current["sft"]
    assert invoke("policies", "show", "sft")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["policies", "show", "none"], "There is no profile 'none'"),
        (["policies", "show", "sft", "000000000000"], "stored versions"),
        (["policies", "promote", "sft", "../.."], "not a name"),
        (["rewards", "evaluate", "--data", "none.json"], "none.json does not exist"),
        (["rewards", "fit", "--data", str(SAMPLE / "train.json")], "row 0"),
        (["bench", "rewards", "--data", "none.json"], "none.json does not exist"),
        (["bench", "train", "--data", "none.json"], "none.json does not exist"),
        (["bench", "train", "--samples", "1"], "samples_per_prompt must be 2"),
        (["generate", "Where?", "--passages", "none.txt"], "none.txt cannot be read"),
        (["generate", "Where?", "--server", "http://127.0.0.1:9"], "No service answers"),
        (["evaluate", "--profile", "none"], "There is no profile 'none'"),
        (["arena", "short", "long", "--judge", "nobody"], "'nobody' names no endpoint and model"),
        (["arena", "short", "long", "--judge", "people"], "No feedback store is named"),
        (["arena", "short", "long", "--questions", "store"], "No feedback store is named"),
        (["arena", "short"], "needs two contestants"),
        (["experiment", "front", "--method", "stew"], "There is no method 'stew'"),
        (["experiment", "front", "--beta", "0.2"], "choose one above 0.33"),
        (["experiment", "front", "--reference-point", "1,2"], "is not 3 numbers"),
        (["evaluate", "--profile", "sft@000000000000"], "stored versions"),
        (["evaluate", "--task", "none"], "no task 'none'; choose qa or detox"),
        (["evaluate", "--task", "detox", "--record"], "The task detox does not support --record"),
        (["sample", "--task", "none", "--out", "x.jsonl"], "no task 'none'"),
        (["train", "--weights", "a,b,c", "--profile", "x"], "three numbers"),
        (["train", "--weights", "shouting=1", "--profile", "x"], "not a category in use"),
    ],
)
def test_errors_say_what_to_do(arguments, part):
    code, message = invoke(*arguments)
    assert code == 1
    assert part in message
    assert message.endswith((".", "none yet"))
    assert "\n" not in message


@pytest.fixture
def evaluating(evaluated, monkeypatch, tmp_path):
    """`fgctl evaluate` on copies of the stored policies, with made-up answers and scores."""
    shutil.copytree(PolicyStore().root, tmp_path / "policies", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    monkeypatch.setenv("FGCTL_POLICIES", str(tmp_path / "policies"))
    asked = []

    def evaluate_policies(
        candidates, examples, base, scorer, decoding, max_prompt_tokens, judge, samples, progress, **_
    ):
        progress("answering", 0, len(examples))
        asked.append((decoding, samples))
        before = []
        for seed, policy in enumerate(candidates):
            report = evaluated(policy.name, policy.version, seed, questions=80)
            values = metrics(report["per_question"], report["weights"])
            for name, metric in values.items():
                *path, last = name.split(".")
                inside = report
                for part in path:
                    inside = inside.setdefault(part, {})
                inside[last] = float(metric.at(metric.rows.sum(0)))
            report["intervals"] = intervals(report)
            report["against"] = comparison(report, before[0]) if before else None
            report["pairs"] = [comparison(report, other) for other in before[1:]]
            report["references"] = {"copied": {"share": 0.285, "longest": 14.25}, "weighted_reward": -seed / 10}
            report["same_answers"] = {other["profile"]: 0.25 for other in before}
            report["served"] = {"responses": samples * 80} if decoding is None else None
            before.append(report)
            yield report

    monkeypatch.setattr("trainer.evaluation.evaluate.evaluate_policies", evaluate_policies)
    return asked


def test_evaluate_prints_figures_and_differences_with_intervals(evaluating):
    code, out = invoke("evaluate", "--no-judge", "--profile", "short", "--profile", "long", "--profile", "sft")
    assert code == 0
    assert evaluating[-1] == (GREEDY, 1)
    titles = ["questions, greedy", "Difference from sft", "Difference between policies"]
    figures, against, pairs = out[out.index(titles[0]) :], out[out.index(titles[1]) :], out[out.index(titles[2]) :]
    assert re.search(r"sft .* short .* long .* references", figures)
    assert re.search(r"copied\.share +│( 0\.\d{3} \[.*\] +│){3} 0\.285 ", figures)
    assert re.search(r"│ weighted_reward +│.*│ 0\.000 / -0\.100 / -0\.200 ", figures)
    assert re.search(r"same answers +│ 0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", pairs)
    assert re.search(r"judge\.clean_rate\.factuality +│ 0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", figures)
    assert re.search(r"length ratio +│ \d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]", against)
    assert re.search(r"weighted_reward, equal length +│ [+-]\d\.\d{3} \[", against)
    assert "long - short" in pairs


def test_evaluate_without_names_takes_the_parent_and_the_served_profiles(evaluating):
    served = {"sft", "short", "medium", "long"}
    for options, expected in (([], served), (["--anchors"], served | {"relevant", "factual", "complete"})):
        code, out = invoke("evaluate", "--no-judge", "--no-perplexity", "--json", *options)
        assert code == 0
        assert {report["profile"] for report in json.loads(out)} == expected


def test_evaluate_prints_json_and_records_in_the_version_that_was_named(evaluating):
    store = PolicyStore()
    version = store.profile("medium").version
    name = f"medium@{version}"
    code, out = invoke("evaluate", "--no-judge", "--profile", name, "--json", "--record")
    assert code == 0
    report = json.loads(out)
    assert (report["profile"], report["version"]) == ("medium", version)
    scores = store.manifest("medium", version).greedy_scores
    elsewhere = ("profile", "version", "weights", "pairs", "same_answers", "served")
    assert scores == {k: v for k, v in report.items() if k not in elsewhere}
    code, out = invoke("policies", "show", "medium")
    assert "scores.rewards" in out
    assert "per_question" not in out
    code, out = invoke("evaluate", "--no-judge", "--profile", "base", "--profile", "sft", "--json")
    assert [report["profile"] for report in json.loads(out)] == ["sft", "base"]


def test_evaluate_keeps_sampled_figures_beside_the_greedy_ones(evaluating):
    store = PolicyStore()
    version = store.profile("medium").version
    before = store.manifest("medium", version)
    assert before.greedy_scores
    for options, samples in (((), 2), (("--samples", "3"), 3)):
        code, out = invoke("evaluate", "--no-judge", "--sampled", *options, "--profile", "medium", "--json", "--record")
        assert code == 0
        assert evaluating[-1] == (None, samples)
        after = store.manifest("medium", version)
        assert after.scores["served"] == json.loads(out)["served"] == {"responses": 80 * samples}
        assert after.greedy_scores == before.greedy_scores
    assert invoke("evaluate", "--no-judge", "--profile", "medium", "--record")[0] == 0
    greedy = store.manifest("medium", version)
    assert greedy.scores["served"] == after.scores["served"]
    assert greedy.greedy_scores != before.greedy_scores
    assert invoke("evaluate", "--samples", "2") == (
        1,
        "All greedy answers to a question are the same; add --sampled, or leave out --samples.",
    )


def test_a_report_on_the_data_comes_before_training(tmp_path):
    row = json.loads((SAMPLE / "train.json").read_text())[0]
    questions = ["When was it built?", "  ", "When was it built?"]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row | {"question": q}) + "\n" for q in questions))
    arguments = ("train", "--weights", "1,1,1", "--profile", "mine", "--data", tmp_path / "train.jsonl", "--dry-run")
    code, out = invoke(*arguments, "--json")
    assert code == 0
    report = json.loads(out)
    assert (report["rows"], report["questions"], report["repeated"]) == (3, 2, [2])
    assert report["left_out"] == {"a blank question": [1]}
    assert report["recipe"]["gradient_checkpointing"] is False
    result = run.invoke(app, [str(a) for a in arguments])
    assert f"2 of the 3 rows of {tmp_path / 'train.jsonl'} are used." in result.stderr
    assert "Left out for a blank question: row 1." in result.stderr
    code, message = invoke(*arguments, "--strict")
    assert code == 1
    assert "a blank question in row 1; an earlier question in row 2; fix these rows" in message


def test_evaluate_records_the_validation_questions_beside_the_held_out_ones(evaluating):
    store = PolicyStore()
    version = store.profile("medium").version
    before = store.manifest("medium", version)
    code, out = invoke("evaluate", "--no-judge", "--validation", "--profile", "medium", "--json", "--record")
    assert code == 0
    after = store.manifest("medium", version)
    assert after.scores["validation"]["per_question"] == json.loads(out)["per_question"]
    assert after.greedy_scores == before.greedy_scores
    assert after.scores["served"] == before.scores["served"]
    assert "leave out --all and --sampled" in invoke("evaluate", "--validation", "--sampled")[1]


def test_base_makes_the_trunk_of_a_merged_parent_and_prints_it(tiny, trunk_store, monkeypatch):
    monkeypatch.setenv("FGCTL_POLICIES", str(trunk_store.root))
    code, out = invoke("base", tiny.path, "--json")
    assert code == 0
    printed = json.loads(out)
    assert (printed["path"], printed["digest"]) == (str(tiny.path), tiny.digest)
    (trunk,) = printed["trunks"]
    assert trunk["name"] == f"tiny+sft@{trunk_store.profile('sft').version}"
    assert (Path(trunk["path"]) / "model.safetensors").is_file()


@pytest.mark.parametrize(("overrides", "shapes"), [((), {"sft.lora"}), (("--recipe", "smoke"), {"lora"})])
def test_a_dry_run_of_sft_shows_the_shape_that_it_trains(overrides, shapes):
    code, out = invoke("sft", "--dry-run", "--data", SAMPLE / "train.json", *overrides, "--json")
    assert code == 0
    recipe = json.loads(out)["recipe"]
    shown = {name for name, shape in (("lora", recipe.get("lora")), ("sft.lora", recipe["sft"]["lora"])) if shape}
    assert shown == shapes
