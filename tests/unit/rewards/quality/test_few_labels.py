from rewards.quality.few_labels import study
from rewards.quality.judged_segments import load_segments, save_segments


def test_a_study_says_what_few_labels_are_worth(judged_segments):
    figures = study(judged_segments(answers=400), 0.2, labels=(50,), draws=200)
    (interval,) = figures["intervals"]
    assert 0.93 <= interval["coverage"] <= 0.99
    assert 0.1 < interval["narrower"] < figures["most_of_probabilities"] + 0.03
    assert figures["most_of_probabilities"] <= figures["most"] < 1
    assert figures["raw"] - figures["truth"] > 0.1 > interval["mean_distance"]
    assert figures["auc"]["model"] > 0.8
    assert 0.4 < figures["auc"]["overlap"] < 0.6
    calibration = figures["calibration"]
    assert calibration["by_chance"] < calibration["after"] < 0.08 < calibration["before"]
    assert calibration["beyond"] < 0.06


def test_further_seeds_draw_other_answers(judged_segments):
    once, again, twice = (
        study(judged_segments(answers=60), 0.2, labels=(30,), draws=20, seeds=seeds)["intervals"][0]["width"]
        for seeds in (1, 1, 2)
    )
    assert once == again != twice


def test_segments_are_kept(judged_segments, tmp_path):
    segments = judged_segments(answers=3)
    save_segments(tmp_path / "segments.json", segments)
    loaded = load_segments(tmp_path / "segments.json")
    assert (loaded.logits == segments.logits).all()
    assert loaded.errors.dtype == bool
