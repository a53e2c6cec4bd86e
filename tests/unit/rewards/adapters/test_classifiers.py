"""On tiny models with random weights."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedTokenizerFast,
)

from rewards.adapters import load_model
from rewards.configuration import Configuration
from rewards.dataset import Passage
from rewards.errors import FgctlError
from rewards.scores import ScoreRequest
from rewards.segmentation import segments

WORDS = "[PAD] [UNK] [CLS] [SEP] fool you nice day it is a . where ?".split()
LABELS = {0: "fine", 1: "rude", 2: "vulgar"}


@pytest.fixture(scope="module")
def tokenizer():
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")


@pytest.fixture(scope="module")
def directory(tokenizer, tmp_path_factory):
    """One directory for each task, of random weights."""
    made = {}
    torch.manual_seed(0)
    config = {
        "vocab_size": len(WORDS),
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 24,
        "initializer_range": 1.0,
        "id2label": LABELS,
        "label2id": {label: i for i, label in LABELS.items()},
    }
    for name, kind, more in (
        ("text", BertForSequenceClassification, {}),
        ("multi", BertForSequenceClassification, {"problem_type": "multi_label_classification"}),
        ("token", BertForTokenClassification, {}),
        ("headless", BertModel, {}),
    ):
        made[name] = tmp_path_factory.mktemp(name)
        kind(BertConfig(**config, **more)).save_pretrained(made[name])
        tokenizer.save_pretrained(made[name])
    return made


def load(type_, model, density="sentence", **settings):
    table = {
        "density": density,
        "description": "polite",
        "type": type_,
        "model": str(model),
        "error_labels": ["rude", "vulgar"],
        **settings,
    }
    config = Configuration.model_validate({"category": {"politeness": table}})
    return load_model("politeness", config.category["politeness"])


def request(response):
    return ScoreRequest("where is it ?", (Passage(title="", text="it is a day ."),), response)


RESPONSES = ["it is a nice day . you fool .", "nice .", "you fool ."]


def spans(responses):
    return [segments(text, "sentence") for text in responses]


def logits(directory, kind, *texts):
    """The logits that transformers itself gives for one input."""
    from transformers import AutoTokenizer

    with torch.inference_mode():
        return (
            kind.from_pretrained(directory)
            .eval()(**AutoTokenizer.from_pretrained(directory)(*texts, return_tensors="pt"))
            .logits[0]
        )


@pytest.mark.parametrize(
    ("reads", "before"),
    [("segment", []), ("question-segment", ["where is it ?"]), ("passages-segment", ["it is a day ."])],
)
def test_a_text_classifier_gives_each_segment_the_mass_of_the_error_labels(directory, reads, before):
    model = load("text-classification", directory["text"], input=reads)
    scores = model.score([request(r) for r in RESPONSES], spans(RESPONSES))
    assert [len(probabilities) for probabilities in scores] == [2, 1, 1]
    flat = [p for probabilities in scores for p in probabilities]
    for text, probability in zip(["it is a nice day .", "you fool .", "nice .", "you fool ."], flat, strict=True):
        expected = logits(directory["text"], BertForSequenceClassification, *before, text).softmax(-1)[1:].sum()
        assert probability == pytest.approx(expected.item(), abs=1e-5)


def test_of_labels_that_do_not_exclude_each_other_the_likeliest_counts(directory):
    model = load("text-classification", directory["multi"])
    expected = logits(directory["multi"], BertForSequenceClassification, "you fool .").sigmoid()[1:].max()
    assert model.score([request("you fool .")], [[(0, 10)]]) == [[pytest.approx(expected.item(), abs=1e-5)]]


def test_a_model_without_padding_token_judges_a_batch_like_each_text_alone(tokenizer, tmp_path):
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, eos_token="[SEP]")
    bare.save_pretrained(tmp_path)
    torch.manual_seed(0)
    GPT2ForSequenceClassification(
        GPT2Config(
            vocab_size=len(WORDS),
            n_positions=24,
            n_embd=16,
            n_layer=1,
            n_head=2,
            initializer_range=1.0,
            id2label=LABELS,
        )
    ).save_pretrained(tmp_path)
    model = load("text-classification", tmp_path)
    requests = [request(r) for r in RESPONSES]
    together = model.score(requests, spans(RESPONSES))
    alone = [model.score([r], [s])[0] for r, s in zip(requests, spans(RESPONSES), strict=True)]
    assert [p for ps in together for p in ps] == pytest.approx([p for ps in alone for p in ps], abs=1e-5)
    assert together[0][0] != pytest.approx(together[0][1], abs=1e-3)


def test_a_token_classifier_gives_each_segment_its_worst_token_in_context(directory):
    model = load("token-classification", directory["token"])
    scores = model.score([request(r) for r in RESPONSES], spans(RESPONSES))
    # [CLS] it is a nice day . you fool . [SEP]
    mass = logits(directory["token"], BertForTokenClassification, RESPONSES[0]).softmax(-1)[:, 1:].sum(-1)
    assert scores[0] == pytest.approx([mass[1:7].max().item(), mass[7:10].max().item()], abs=1e-5)
    assert [len(probabilities) for probabilities in scores] == [2, 1, 1]


def test_text_longer_than_the_model_takes_is_cut_or_read_in_windows(directory):
    long = "it is a nice day . " * 10 + "you fool ."
    cut = [segments(long, "sentence")]
    (texts,) = load("text-classification", directory["text"], input="passages-segment").score([request(long)], cut)
    (tokens,) = load("token-classification", directory["token"]).score([request(long)], cut)
    assert len(texts) == len(tokens) == len(cut[0])
    assert all(0 < p <= 1 for p in tokens)  # no token is left unread
    whole = load("text-classification", directory["text"], "response").score([request(long)], [[(0, len(long))]])
    assert 0 < whole[0][0] <= 1


@pytest.mark.parametrize(
    ("type_", "model", "settings", "excerpt"),
    [
        ("text-classification", "/nowhere", {}, "'/nowhere' cannot be loaded for text-classification"),
        ("text-classification", "headless", {}, "was not trained for text-classification"),
        ("token-classification", "headless", {}, "was not trained for token-classification"),
        (
            "text-classification",
            "text",
            {"error_labels": ["toxic"]},
            "no label 'toxic'; choose error_labels among fine,",
        ),
    ],
)
def test_a_model_that_cannot_judge_is_refused(directory, monkeypatch, type_, model, settings, excerpt):
    with pytest.raises(FgctlError) as error:
        load(type_, directory.get(model, model), **settings)
    assert excerpt in str(error.value)
    assert "\n" not in str(error.value)
