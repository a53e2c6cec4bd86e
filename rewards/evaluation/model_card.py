"""The reward models' card in Markdown, from the figures of rewards.evaluation.card_figures and rewards.evaluation.attacks."""

from collections.abc import Mapping, Sequence
from typing import Any

from rewards.evaluation.attacks import ATTACKS, CORRECTED, attacks_that_pay

_NAMES = {
    "relevance": "relevance, sub-sentences",
    "factuality": "factuality, sentences",
    "factuality_paper_rule": "factuality, the paper's rule",
    "completeness": "completeness, pairs",
    "completeness_missing": "completeness, information missing",
    "preference": "preference, pairs",
}
_PAPER = {
    "relevance": ".696 / .685",
    "factuality_paper_rule": ".778 / .675",
    "completeness": ".709",
    "preference": ".572",
}
"""Wu et al. 2023, fitted on 2,853 annotated answers."""


def render_card(report: Mapping[str, Any]) -> str:
    """The card of a report: `version`, `data`, `study` and `attacks`."""
    study = report["study"]
    sections = [
        (
            "Agreement with people",
            f"Version {report['version']} on {report['data']}: {study['questions']} annotated answers, five-fold "
            "cross-validation with whole questions held out, 95 % intervals by the bootstrap over questions. The paper "
            "(Wu et al. 2023) fitted three Longformers on 2,853 annotated answers.",
            _agreement(study["agreement"]),
        ),
        (
            "Are the probabilities right?",
            "Ten equally filled bins of segments by probability of an error: predicted → observed.",
            _reliability(study["reliability"]),
        ),
        (
            "How much feedback is enough?",
            "Macro-F1 over segments, accuracy over pairs, by the number of annotated answers fitted on.",
            _learning_curve(study["learning_curve"]),
        ),
        (
            "Which errors are found?",
            "Of the segments that overlap a span of the label, the share judged errors, to be compared with the false "
            "alarms above.",
            _labels(study["detected_by_label"]),
        ),
        (
            "Are errors named rightly?",
            "Of the errors that people marked, the share given the label that people gave: the one that covers most of "
            "the segment, or, of missing information, the gravest. Beside it, accuracy and macro-F1 of always saying "
            f"the commonest label. {_named(report['named'])} `recall` is the share of a label's errors that are given "
            "it, `precision` the share of the errors given it that are of it.",
            _naming(study["labels"]) + "\n\n" + _naming_by_label(study["labels"]),
        ),
        (
            "Sentences with errors of two categories",
            "Share of sentences judged errors by each model. To the relevance model a sentence is one when any of its "
            "sub-sentences is.",
            _overlap(study["overlap"]),
        ),
        (
            "Other densities",
            "The same features and kind of head, judging longer or shorter pieces of the response.",
            _densities(study["densities"]),
        ),
        (
            "Agreement of people with themselves",
            "Krippendorff's alpha: 1 is perfect agreement, 0 that of chance. Each answer was annotated by one person, "
            "so that the agreement of two people is not known. Instead, an annotator's marks are compared with what "
            "the same annotator's correction changed: more than that a second reading could hardly agree.",
            _alpha(study["alpha"]),
        ),
        (
            "What was tried",
            "Recipes are files in `rewards/recipes`, judged by `fgctl rewards compare`; candidates in italics were "
            "tried once, by code that is not kept. Five folds as above: accuracy / macro-F1 (ROC AUC), then accuracy "
            "over pairs. An attack pays when it is paid more than the corrected response on average, by the weights of "
            "any profile. The settings of `best` were chosen by such figures, on other folds of the same answers.",
            _candidates(report["candidates"]),
        ),
        (
            "Can they be gamed?",
            "Mean summed reward of each category, before weights, on held-out questions: the annotators' corrected "
            "responses, the reference answers, and answers that a policy would find if it paid. `total` is the sum by "
            "the weights of the profiles short / medium / long, `wins` the share of questions in which the answer is "
            f"paid more than the corrected response. {_holes(report['attacks'])}",
            _attacks(report["attacks"]),
        ),
        (
            "Rights and wrongs",
            "The segments on which the models are surest, of each kind.",
            _examples(study["examples"]),
        ),
        ("Known failures", _failures(study), ""),
    ]
    head = "# Reward models\nWritten by `fgctl rewards report`. All but the attacks are judged out of fold.\n"
    return head + "".join(
        f"\n## {title}\n{text}\n" + (f"\n{table}\n" if table else "") for title, text, table in sections
    )


def _agreement(figures: Mapping[str, Any]) -> str:
    rows = []
    for key, name in _NAMES.items():
        one = figures[key]
        accuracy = "accuracy" if "accuracy" in one else "pairwise_accuracy"
        rows.append(
            [
                name,
                one["n"],
                _with_interval(one, accuracy),
                _with_interval(one, "macro_f1"),
                ", ".join(f"{_number(value)} ({name})" for name, value in one["baselines"].items()),
                _PAPER.get(key, ""),
                _number(one.get("calibration_error")),
                _number(one.get("false_alarm_rate")),
                _number(one.get("miss_rate")),
            ]
        )
    header = ["", "n", "accuracy", "macro-F1", "trivial", "paper", "calibration error", "false alarms", "misses"]
    return _table(header, rows)


def _reliability(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    width = max(len(bins) for bins in figures.values())
    rows = [
        [name, *(f"{_number(b['predicted'])} → {_number(b['observed'])}" for b in bins)]
        for name, bins in figures.items()
    ]
    return _table(["", *(str(i + 1) for i in range(width))], rows)


def _learning_curve(points: Sequence[Mapping[str, Any]]) -> str:
    names = ("relevance", "factuality", "completeness", "preference")
    rows = [[point["questions"], *(_number(point[name]) for name in names)] for point in points]
    return _table(
        ["answers", "relevance macro-F1", "factuality macro-F1", "completeness pairs", "preference pairs"], rows
    )


def _labels(figures: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [category, label, one["n"], _number(one["detected"])]
        for category, labels in figures.items()
        for label, one in labels.items()
    ]
    return _table(["category", "label", "segments", "found"], rows)


def _named(categories: Sequence[str]) -> str:
    """Which categories' errors have a label."""
    having = f"Errors of {' and '.join(categories)} have" if categories else "No error has"
    return (
        f"{having} a label: a category is left without one unless its labels are right in over half of the errors, no "
        "less often than the commonest label, and gain on it in macro-F1 (on which alone mere guessing gains too). "
        "What is falsely judged an error is given a label as well, and rare labels are given too seldom: compare a "
        "label's counts with its own at another time, not with another label's."
    )


def _naming(figures: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [
            *(category, one["n"], _with_interval(one, "accuracy"), _with_interval(one, "macro_f1")),
            f"{_number(one['baselines']['majority'])} / {_number(one['majority_macro_f1'])}",
            " to ".join(f"{value:+.3f}" for value in one["interval"]["macro_f1_gain"]),
        ]
        for category, one in figures.items()
    ]
    return _table(["category", "errors", "accuracy", "macro-F1", "commonest", "gain in macro-F1"], rows)


def _naming_by_label(figures: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [category, label, by["n"], _number(by["recall"]), _number(by["precision"])]
        for category, one in figures.items()
        for label, by in one["by_label"].items()
    ]
    return _table(["category", "label", "errors", "recall", "precision"], rows)


def _overlap(cells: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [name, one["sentences"], _number(one["relevance_model"]), _number(one["factuality_model"])]
        for name, one in cells.items()
    ]
    return _table(["marked by people", "sentences", "relevance model", "factuality model"], rows)


def _densities(figures: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [category, density, one["n"], _number(one["errors"]), _number(one["auc"]), _number(one["macro_f1"])]
        for category, by_density in figures.items()
        for density, one in by_density.items()
    ]
    return _table(["category", "density", "n", "errors", "ROC AUC", "macro-F1"], rows)


def _attacks(figures: Mapping[str, Mapping[str, Any]]) -> str:
    first = figures[CORRECTED]
    rows = [
        [
            name,
            one["words"],
            *(f"{value:+.2f}" for value in one["rewards"].values()),
            " / ".join(f"{value:+.2f}" for value in one["total"].values()),
            " / ".join(f"{value:.2f}" for value in one["paid_more"].values()) if name in ATTACKS else "",
        ]
        for name, one in figures.items()
    ]
    return _table(["answer", "words", *first["rewards"], "total", "wins"], rows)


def _holes(figures: Mapping[str, Mapping[str, Any]]) -> str:
    found = attacks_that_pay(figures)
    return f"Paid more on average: {', '.join(found)}." if found else "None is paid more on average."


def _alpha(figures: Mapping[str, Mapping[str, float | None]]) -> str:
    names = {
        "relevance": "relevance, sub-sentences", "factuality": "factuality, sentences",
        "completeness": "completeness, information missing",
    }  # fmt: skip
    rows = [[name, _number(figures["model"][key]), _number(figures["corrections"][key])] for key, name in names.items()]
    return _table(["", "model and marks", "corrections and marks"], rows)


def _candidates(logs: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for log in logs:
        name = f"*{log['recipe']}*" if log.get("once") else f"`{log['recipe']}`"
        figures = log["agreement"]
        cells = [_triple(figures.get(key, {})) for key in ("relevance", "factuality", "factuality_paper_rule")]
        cells += [_number(figures.get(key, {}).get("pairwise_accuracy")) for key in ("completeness", "preference")]
        rows.append([name, log["description"], *cells, (", ".join(log["holes"]) or "none") if "holes" in log else ""])
    header = ["candidate", "what it is", "relevance", "factuality", "by the paper's rule", "completeness", "preference"]
    return _table([*header, "attacks that pay"], rows)


def _triple(figures: Mapping[str, Any]) -> str:
    """Accuracy / macro-F1 (ROC AUC), as far as they are known."""
    both = f"{_number(figures['accuracy'])} / {_number(figures['macro_f1'])} " if "accuracy" in figures else ""
    return both + (f"({_number(figures['auc'])})" if figures.get("auc") is not None else "")


def _examples(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    rows = [
        [
            category,
            one["kind"],
            _cell(one["question"]),
            _cell(one["segment"]),
            ", ".join(one["marked"]),
            _number(one["probability"]),
        ]
        for category, chosen in figures.items()
        for one in chosen
    ]
    return _table(["category", "", "question", "segment", "marked by people", "p(error)"], rows)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _failures(study: Mapping[str, Any]) -> str:
    figures, labels = study["agreement"], study["detected_by_label"]
    relevance, missing, preference = (figures[c] for c in ("relevance", "completeness_missing", "preference"))
    misses = {label: 1 - one["detected"] for by in labels.values() for label, one in by.items() if one["n"]}
    skill = "no better than" if missing["accuracy"] <= missing["baselines"]["majority"] else "better than"
    return (
        f"- Relevance is wrong about {_percent(1 - relevance['accuracy'])} of sub-sentences. What a question wants "
        "told takes knowledge that similarity and structure do not have; trust rates over many answers, corrected "
        "by the rates above, rather than a single segment.\n"
        f"{_worst(misses)}"
        f"- Whether information is missing is told right in {_percent(missing['accuracy'])} of answers, {skill} "
        f"always saying so ({_percent(missing['baselines']['majority'])}). Which of two answers tells more is told "
        f"right in {_percent(figures['completeness']['pairwise_accuracy'])} of pairs: use the score, not the error.\n"
        f"- People's preferences between whole answers are hardly told: {_percent(preference['pairwise_accuracy'])} of "
        f"pairs, while the answer shown first is preferred in {_percent(preference['baselines']['first'])}.\n"
        "- Everything was learnt from English answers of a few sentences to questions about Wikipedia passages; "
        "`in_domain` is false for most of what is not like that, and does not see a plain wrong score."
    )


def _worst(misses: Mapping[str, float]) -> str:
    """The labels whose errors are missed most, a line each."""
    most = sorted(misses, key=lambda label: -misses[label])[:2]
    return "".join(f"- {label}: {_percent(misses[label])} of its segments are missed.\n" for label in most)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _with_interval(figures: Mapping[str, Any], name: str) -> str:
    if name not in figures:
        return ""
    low, high = figures["interval"][name]
    return f"{_number(figures[name])} [{_number(low)}, {_number(high)}]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".replace("0.", ".", 1)
