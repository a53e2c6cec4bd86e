"""Agreement with people. Each figure has a 95 % interval by the bootstrap over questions, not over segments."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Counts = NDArray[np.int64]
_RESAMPLES = 2000


def macro_f1(labels: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    """Mean of the F1 scores of "error" and "no error"."""
    return float(_macro_f1(confusion(labels, predicted, np.zeros(len(labels), dtype=np.int64), 1))[0])


def confusion(labels: NDArray[np.bool_], predicted: NDArray[np.bool_], question: Counts, questions: int) -> Counts:
    """True positives, false positives, false negatives and true negatives of each question: int64 [questions, 4]."""
    cell = np.where(labels, np.where(predicted, 0, 2), np.where(predicted, 1, 3))
    counts = np.zeros((questions, 4), dtype=np.int64)
    np.add.at(counts, (question, cell), 1)
    return counts


def _macro_f1(counts: NDArray[np.generic]) -> Matrix:
    hit, alarm, miss, rest = (np.asarray(counts[..., i], dtype=np.float64) for i in range(4))
    wrong = alarm + miss
    return (ratio(2 * hit, 2 * hit + wrong) + ratio(2 * rest, 2 * rest + wrong)) / 2


def _accuracy(counts: NDArray[np.generic]) -> Matrix:
    values = np.asarray(counts, dtype=np.float64)
    return ratio(values[..., 0] + values[..., 3], values.sum(-1))


def binary_agreement(
    labels: NDArray[np.bool_], probabilities: Matrix, predicted: NDArray[np.bool_], question: Counts, questions: int
) -> dict[str, object]:
    """Accuracy, macro-F1, ROC AUC, calibration error and the rates of false alarms and misses over N segments.

    Figures over nothing are None.
    """
    if not len(labels):
        figures = dict.fromkeys(("accuracy", "macro_f1", "auc", "calibration_error", "false_alarm_rate", "miss_rate"))
        return figures | {"interval": {"accuracy": None, "macro_f1": None}, "n": 0}
    counts = confusion(labels, predicted, question, questions)
    total = counts.sum(0)
    return {
        "accuracy": rounded(_accuracy(total)),
        "macro_f1": rounded(_macro_f1(total)),
        "interval": {
            "accuracy": bootstrap_interval(counts, _accuracy),
            "macro_f1": bootstrap_interval(counts, _macro_f1),
        },
        "auc": roc_auc(labels, probabilities),
        "calibration_error": rounded(calibration_error(probabilities, labels)),
        "false_alarm_rate": rounded(ratio(total[1], total[1] + total[3])),
        "miss_rate": rounded(ratio(total[2], total[2] + total[0])),
        "n": len(labels),
    }


def roc_auc(labels: NDArray[np.bool_], probabilities: Matrix) -> float | None:
    """Area under the ROC curve, which does not depend on a threshold; None if all labels are the same."""
    from sklearn.metrics import roc_auc_score

    return None if labels.all() or not labels.any() else rounded(roc_auc_score(labels, probabilities))


def pairwise_agreement(margins: Matrix, question: Counts, questions: int) -> dict[str, object]:
    """Share of P pairs in which the better response scores higher (margin above 0); equal scores count half.

    Figures over nothing are None.
    """
    if not len(margins):
        return {"pairwise_accuracy": None, "interval": {"pairwise_accuracy": None}, "n": 0}
    right = (margins > 0) + 0.5 * (margins == 0)
    sums = np.stack(
        [np.bincount(question, right, minlength=questions), np.bincount(question, minlength=questions)], axis=1
    )
    return {
        "pairwise_accuracy": rounded(right.mean()),
        "interval": {"pairwise_accuracy": bootstrap_interval(sums, lambda s: ratio(s[..., 0], s[..., 1]))},
        "n": len(margins),
    }


def label_agreement(
    labels: Sequence[str], predicted: Sequence[str], names: Sequence[str], question: Counts, questions: int
) -> dict[str, Any]:
    """Accuracy and macro-F1 of the predicted labels of N errors, compared with always predicting the commonest label.

    `names` are all possible labels; macro-F1 is the mean over those that occur. Labels are worth showing (`worth`) when
    they are right for more than half of the errors, at least as accurate as the commonest label, and better than it in
    macro-F1; the first and the last must hold for the whole interval. Macro-F1 alone is not enough, since even random
    guessing improves it. Figures over nothing are None.
    """
    if not labels:
        figures = dict.fromkeys(("accuracy", "macro_f1", "majority_macro_f1"))
        interval = dict.fromkeys(("accuracy", "macro_f1", "macro_f1_gain"))
        return figures | {
            "interval": interval, "n": 0, "baselines": {"majority": None}, "worth": False, "by_label": {},
        }  # fmt: skip
    k = len(names)
    index = {name: i for i, name in enumerate(names)}
    counts = np.zeros((questions, k, k + 1), dtype=np.int64)  # the last column: not in `names`
    for where in zip(question, map(index.__getitem__, labels), (index.get(name, k) for name in predicted), strict=True):
        counts[where] += 1
    total = counts.sum(0)
    occurring, commonest = total.sum(1) > 0, int(total.sum(1).argmax())

    def cells(sums: Matrix) -> Matrix:
        return sums.reshape(*sums.shape[:-1], k, k + 1)

    def accuracy(sums: Matrix) -> Matrix:
        return ratio(np.trace(cells(sums), axis1=-2, axis2=-1), sums.sum(-1))

    def f1(sums: Matrix) -> Matrix:
        matrix = cells(sums)
        hits = np.diagonal(matrix, axis1=-2, axis2=-1)
        by_label = ratio(2 * hits, matrix.sum(-1) + matrix[..., :k].sum(-2))
        return np.asarray(by_label[..., occurring].sum(-1) / max(1, occurring.sum()))

    def majority(sums: Matrix) -> Matrix:
        always = np.zeros_like(cells(sums))
        always[..., commonest] = cells(sums).sum(-1)
        return always.reshape(sums.shape)

    flat, all_sums = counts.reshape(questions, k * (k + 1)), total.reshape(-1).astype(np.float64)
    accuracy_interval, gain = (
        bootstrap_interval(flat, accuracy),
        bootstrap_interval(flat, lambda sums: f1(sums) - f1(majority(sums))),
    )
    accurate, trivial = float(accuracy(all_sums)), float(accuracy(majority(all_sums)))
    return {
        "accuracy": rounded(accurate),
        "macro_f1": rounded(f1(all_sums)),
        "interval": {"accuracy": accuracy_interval, "macro_f1": bootstrap_interval(flat, f1), "macro_f1_gain": gain},
        "n": len(labels),
        "baselines": {"majority": rounded(trivial)},
        "majority_macro_f1": rounded(f1(majority(all_sums))),
        "worth": accuracy_interval[0] > 0.5 and accurate >= trivial and gain[0] > 0,
        "by_label": {
            name: {
                "n": int(total[i].sum()),
                "recall": rounded(ratio(total[i, i], total[i].sum())),
                "precision": rounded(ratio(total[i, i], total[:, i].sum())),
            }
            for name, i in index.items()
        },
    }


def bootstrap_interval(per_question: NDArray[np.generic], statistic: Callable[[Matrix], Matrix]) -> list[float]:
    """The 95 % percentile interval of a statistic of summed rows, by the bootstrap over questions (Efron 1979).

    `per_question` is [questions, columns]; `statistic` maps sums [..., columns] to [...].
    """
    rows = np.asarray(per_question, dtype=np.float64)
    if len(rows) == 0:
        return [0.0, 0.0]
    drawn = np.random.default_rng(0).multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=_RESAMPLES)
    low, high = np.quantile(statistic(drawn @ rows), [0.025, 0.975])
    return [rounded(low), rounded(high)]


def calibration_error(probabilities: Matrix, labels: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error over equally filled bins."""
    if len(labels) == 0:
        return 0.0
    gaps = [
        len(part) * abs(probabilities[part].mean() - labels[part].mean())
        for part in equally_filled_bins(probabilities, bins)
    ]
    return float(sum(gaps) / len(labels))


def calibration_error_beyond_chance(probabilities: Matrix, labels: NDArray[np.bool_], bins: int = 10) -> float:
    """Root mean square calibration error over equally filled bins, less what chance adds to it.

    The mean of n labels differs from perfect probabilities by chance, so that few labels make any model look
    uncalibrated. Of each bin's squared gap its expectation by chance, `rate (1 - rate) / (n - 1)`, is taken off (Kumar,
    Liang & Ma 2019, "Verified uncertainty calibration", equation 4); what is left is not below 0.
    """
    square = 0.0
    for part in equally_filled_bins(probabilities, bins):
        rate = labels[part].mean()
        by_chance = rate * (1 - rate) / max(len(part) - 1, 1)
        square += len(part) * ((probabilities[part].mean() - rate) ** 2 - by_chance)
    return float(np.sqrt(max(square, 0.0) / max(len(labels), 1)))


def equally_filled_bins(probabilities: Matrix, bins: int = 10) -> list[Counts]:
    """Indices of equally many probabilities each, from the lowest to the highest; empty bins are left out."""
    parts = np.array_split(np.argsort(probabilities, kind="stable"), bins)
    return [part for part in parts if len(part)]


def ratio(part: Matrix, whole: Matrix) -> Matrix:
    """Elementwise `part / whole`; 0 where the whole is not above 0."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def rounded(value: object) -> float:
    """A figure as reports have it: four digits after the point."""
    return round(float(value), 4)  # type: ignore[arg-type]
