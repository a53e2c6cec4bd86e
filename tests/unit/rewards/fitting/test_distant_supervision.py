import pytest

from rewards.dataset import SAMPLE, load_examples
from rewards.features.encoder import Encoder
from rewards.features.words import content_words
from rewards.fitting.distant_supervision import label_by_reference, make_pseudo_responses, not_in_answer


@pytest.fixture(scope="module")
def examples():
    return load_examples(SAMPLE / "train.json")[:6]


@pytest.fixture(scope="module")
def encoder():
    return Encoder()


def test_a_verbatim_piece_is_in_the_answer_and_an_unrelated_one_is_not():
    assert not_in_answer(1.0, 1.0, 1.0) < 0.02
    assert not_in_answer(0.62, 0.55, 0.25) == pytest.approx(0.5)
    assert not_in_answer(0.05, 0.0, 0.0) > 0.97


def test_pseudo_responses_consist_of_passage_and_answer_sentences(examples, encoder):
    made = label_by_reference(make_pseudo_responses(examples, seed=0, per_question=3), encoder)
    assert len(made) == 3 * len(examples)
    by_question = {e.question: e for e in examples}
    for response in made:
        e = by_question[response.question]
        source = " ".join([e.answer, *(p.text for p in e.passages)])
        for (a, b), target in zip(response.spans, response.targets, strict=True):
            assert content_words(response.text[a:b]) <= content_words(source)
            assert 0 <= target <= 1
    answers = [
        t
        for response in made
        for (a, b), t in zip(response.spans, response.targets, strict=True)
        if response.text[a:b] in by_question[response.question].answer
    ]
    others = [
        t
        for response in made
        for (a, b), t in zip(response.spans, response.targets, strict=True)
        if response.text[a:b] not in by_question[response.question].answer
    ]
    assert max(answers) < 0.5 < sum(others) / len(others)


def test_the_same_seed_makes_the_same_responses(examples):
    first, again, other = (make_pseudo_responses(examples, seed=s) for s in (1, 1, 2))
    assert first == again
    assert [text for _, text in first] != [text for _, text in other]


def test_a_policys_answers_are_labelled_like_pseudo_responses(examples, encoder):
    example = examples[0]
    read = label_by_reference(
        [(example, example.answer), (example, "Bananas are yellow and they grow on trees."), (example, " ")], encoder
    )
    assert [response.text for response in read] == [example.answer, "Bananas are yellow and they grow on trees."]
    assert max(read[0].targets) < 0.1
    assert min(read[1].targets) > 0.9


def test_rows_without_passages_or_answer_get_no_pseudo_response(examples):
    bare = [examples[0].model_copy(update={"passages": ()}), examples[1].model_copy(update={"answer": " "})]
    assert make_pseudo_responses(bare, seed=0) == []
