import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.statistics.prediction_powered import MIN_LABELS, Labelled, Scored, error_rate, largest_saving, raw_rate

CHOSEN = np.nan


def traffic(rng, answers, rare=1.0):
    """Answers of one to eleven segments that resemble each other, judged by a model whose probabilities are too high.

    Returns segments, errors and summed probabilities of each answer.
    """
    segments = rng.integers(1, 12, answers)
    errors, predicted = np.zeros(answers), np.zeros(answers)
    for i, tendency in enumerate(rng.beta(1.2, 3, answers)):
        p = rng.beta(2 * tendency + 0.05, 2 * (1 - tendency) + 0.05, segments[i])
        errors[i] = (rng.random(segments[i]) < p**rare).sum()
        predicted[i] = np.clip(0.3 + 0.6 * p + 0.1 * rng.normal(size=segments[i]), 0, 1).sum()
    return segments.astype(float), errors, predicted


def labels(columns, drawn, probability=None):
    segments, errors, predicted = (column[drawn] for column in columns)
    return Labelled(segments, errors, predicted, np.ones(len(drawn)) if probability is None else probability)


def by_uncertainty(columns):
    """How likely each answer is drawn where uncertain answers are preferred."""
    mean = columns[2] / columns[0]
    return 0.5 + 2 * mean * (1 - mean)


@pytest.mark.parametrize("answers", [300, 3000])
@pytest.mark.parametrize("number", [30, 50, 100])
@pytest.mark.parametrize("preferring", [False, True], ids=["alike", "uncertain"])
def test_intervals_cover_the_truth_and_are_narrower_than_those_of_the_labels_alone(answers, number, preferring):
    rng = np.random.default_rng(number)
    columns = traffic(rng, answers)
    truth, covered, widths = columns[1].sum() / columns[0].sum(), 0, np.zeros(2)
    rate = by_uncertainty(columns) if preferring else np.ones(answers)
    for _ in range(500):
        key = rng.random(answers) / rate
        drawn = np.argsort(key)[:number]
        estimate = error_rate(Scored(columns[0], columns[2]), labels(columns, drawn, rate[drawn]))
        covered += estimate.rate.low <= truth <= estimate.rate.high
        widths += estimate.rate.width, estimate.labels_only.width
    assert 0.93 <= covered / 500 <= 0.98
    assert widths[0] < 0.75 * widths[1]
    assert raw_rate(Scored(columns[0], columns[2])) > truth + 0.1


def test_rare_errors_are_covered():
    rng = np.random.default_rng(0)
    columns = traffic(rng, 2000, rare=4.0)
    truth, covered = columns[1].sum() / columns[0].sum(), 0
    for _ in range(500):
        drawn = rng.choice(2000, 50, replace=False)
        rate = error_rate(Scored(columns[0], columns[2]), labels(columns, drawn)).rate
        covered += rate.low <= truth <= rate.high
    assert truth < 0.12
    assert covered / 500 >= 0.92


def test_scores_that_say_nothing_cost_little():
    rng = np.random.default_rng(0)
    segments, errors, _ = columns = traffic(rng, 3000)
    noise = segments * rng.random(3000)
    covered, widths = 0, np.zeros(2)
    for _ in range(300):
        drawn = rng.choice(3000, 50, replace=False)
        estimate = error_rate(Scored(segments, noise), labels((segments, errors, noise), drawn))
        covered += estimate.rate.low <= errors.sum() / segments.sum() <= estimate.rate.high
        widths += estimate.rate.width, estimate.labels_only.width
    assert covered / 300 >= 0.92
    assert widths[0] < 1.06 * widths[1]
    assert columns


def test_a_case_computed_by_hand():
    """Ten of twenty answers are labelled, each of one segment; the scores are half of what people say."""
    errors = np.array([1.0, 0.0] * 5)
    predicted = np.concatenate([errors / 2, np.full(10, 0.5)])
    estimate = error_rate(Scored(np.ones(20), predicted), Labelled(np.ones(10), errors, predicted[:10], np.ones(10)))
    assert estimate.power == pytest.approx(2)
    assert estimate.rate.estimate == pytest.approx(0.5 + 2 * (0.375 - 0.25))
    assert estimate.rate.width == pytest.approx(0, abs=1e-6)  # nothing is left to explain
    assert estimate.labels_only.estimate == 0.5


def test_the_point_estimate_is_that_of_ppi_python():
    """ppi-python 0.2.3 on the same numbers: ppi_mean_pointestimate and ppi_mean_ci(alpha=0.05)."""
    rng = np.random.default_rng(7)
    p = rng.beta(2, 2, 20_000)
    y = (rng.random(20_000) < p**2).astype(float)
    first = np.arange(200)
    estimate = error_rate(Scored(np.ones(20_000), 2 * p), labels((np.ones(20_000), y, 2 * p), first))
    assert estimate.power == pytest.approx(0.52, abs=0.01)
    assert estimate.rate.estimate == pytest.approx(0.31912837, abs=2e-4)
    assert estimate.rate.width == pytest.approx(0.37542356 - 0.26283318, rel=0.03)


def test_when_everything_is_labelled_the_rate_is_known():
    columns = traffic(np.random.default_rng(1), 40)
    estimate = error_rate(Scored(columns[0], columns[2]), labels(columns, np.arange(40)))
    truth = columns[1].sum() / columns[0].sum()
    assert estimate.rate.low == estimate.rate.high == pytest.approx(truth)
    assert (estimate.labels_saved, estimate.labels_to_halve) == (0, 0)


def test_without_a_single_error_the_interval_is_not_empty():
    drawn = Labelled(np.ones(50), np.zeros(50), np.full(50, 0.2), np.ones(50))
    rate = error_rate(Scored(np.ones(1000), np.full(1000, 0.2)), drawn).rate
    assert (rate.estimate, rate.low) == (0, 0)
    assert rate.high == pytest.approx(1 - 0.025 ** (1 / 50))


def test_answers_that_somebody_chose_count_for_themselves_alone():
    """Fifty bad answers are sought out and labelled, fifty drawn from the rest: the rate is not that of the labels."""
    rng = np.random.default_rng(3)
    errors = np.concatenate([np.ones(50), (rng.random(950) < 0.1).astype(float)])
    score = np.clip(errors * 0.5 + 0.3 * rng.random(1000), 0, 1)
    probability = np.concatenate([np.full(50, CHOSEN), np.ones(50)])
    covered, estimates = 0, []
    for _ in range(200):
        labelled = np.concatenate([np.arange(50), 50 + rng.choice(950, 50, replace=False)])
        columns = (np.ones(1000), errors, score)
        rate = error_rate(Scored(np.ones(1000), score), labels(columns, labelled, probability)).rate
        covered += rate.low <= errors.mean() <= rate.high
        estimates.append(rate.estimate)
    assert covered / 200 >= 0.92
    assert np.mean(estimates) == pytest.approx(errors.mean(), abs=0.01)


@pytest.mark.parametrize("number", [0, MIN_LABELS - 1])
def test_too_few_labels_give_no_estimate(number):
    columns = traffic(np.random.default_rng(1), 100)
    assert error_rate(Scored(columns[0], columns[2]), labels(columns, np.arange(number))) is None


def test_chosen_answers_alone_give_no_estimate():
    columns = traffic(np.random.default_rng(1), 100)
    chosen = labels(columns, np.arange(50), np.full(50, CHOSEN))
    assert error_rate(Scored(columns[0], columns[2]), chosen) is None


@given(seed=st.integers(0, 10_000), number=st.integers(MIN_LABELS, 60))
def test_an_interval_contains_its_estimate_and_lies_between_0_and_1(seed, number):
    rng = np.random.default_rng(seed)
    columns = traffic(rng, 60, rare=float(rng.uniform(0.2, 8)))
    estimate = error_rate(Scored(columns[0], columns[2]), labels(columns, rng.choice(60, number, replace=False)))
    for interval in (estimate.rate, estimate.labels_only):
        assert 0 <= interval.low <= interval.estimate + 1e-12
        assert interval.estimate - 1e-12 <= interval.high <= 1
    assert estimate.power >= 0
    assert estimate.labels_saved >= 0


def test_as_many_more_labels_as_it_says_halve_the_interval():
    rng = np.random.default_rng(5)
    columns = traffic(rng, 2000)
    scored = Scored(columns[0], columns[2])

    def width(number):
        drawn = [rng.choice(2000, number, replace=False) for _ in range(60)]
        return np.mean([error_rate(scored, labels(columns, d)).rate.width for d in drawn])

    more = error_rate(scored, labels(columns, rng.choice(2000, 60, replace=False))).labels_to_halve
    assert width(60 + more) == pytest.approx(width(60) / 2, rel=0.12)


def test_the_largest_saving_is_that_of_the_correlation():
    """Answers of one segment: 1 - sqrt(1 - r^2), and the mean of many intervals comes near it."""
    rng = np.random.default_rng(2)
    score = rng.random(4000)
    errors = (rng.random(4000) < 0.1 + 0.8 * score).astype(float)
    most = largest_saving(np.ones(4000), errors, score[:, None])
    assert most == pytest.approx(1 - np.sqrt(1 - np.corrcoef(score, errors)[0, 1] ** 2), abs=1e-6)
    scored, widths = Scored(np.ones(4000), score), np.zeros(2)
    for _ in range(40):
        drawn = rng.choice(4000, 400, replace=False)
        estimate = error_rate(scored, labels((np.ones(4000), errors, score), drawn))
        widths += estimate.rate.width, estimate.labels_only.width
    assert 1 - widths[0] / widths[1] == pytest.approx(most, abs=0.02)
    assert largest_saving(np.ones(10), np.zeros(10), np.ones((10, 1))) == 0
