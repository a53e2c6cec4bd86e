from rewards.dataset import SAMPLE, load_examples
from rewards.features.encoder import Encoder
from rewards.fitting.fit_word_head import fit_word_head


def test_the_word_head_prefers_words_of_sentences_like_the_question():
    head = fit_word_head(load_examples(SAMPLE / "train.json")[:6], Encoder())
    weight = dict(zip(head.features, head.weight, strict=True))
    assert weight["best similarity"] > 0
