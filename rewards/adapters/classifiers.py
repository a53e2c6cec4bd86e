"""Reward models that are transformers classifiers, of texts or of tokens."""

from collections.abc import Iterator, Sequence
from typing import Any

from rewards.categories import Category
from rewards.configuration import TextClassification, TokenClassification
from rewards.errors import FgctlError
from rewards.scores import ScoreRequest
from rewards.segmentation import Span

_BATCH = 32


class _Classifier:
    """A model, its tokenizer, and which of its labels mean an error."""

    def __init__(self, category: Category, config: TextClassification | TokenClassification) -> None:
        """Raises FgctlError when the model cannot be loaded or lacks one of the error labels."""
        import torch
        import transformers

        classes = {
            "text-classification": transformers.AutoModelForSequenceClassification,
            "token-classification": transformers.AutoModelForTokenClassification,
        }
        self._torch = torch
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(config.model, split_special_tokens=True)
            self._model, loaded = classes[config.type].from_pretrained(
                config.model, dtype=torch.float32, output_loading_info=True
            )
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise FgctlError(
                f"Category {category}: {config.model!r} cannot be loaded for {config.type} ({reason}); "
                f"fix the name or the directory."
            ) from error
        if loaded["missing_keys"]:
            # transformers initialises missing weights at random when a model was trained for another task.
            raise FgctlError(f"Category {category}: {config.model!r} was not trained for {config.type}; name another.")
        self._model.eval()
        labels = {label: index for index, label in self._model.config.id2label.items()}
        unknown = [label for label in config.error_labels if label not in labels]
        if unknown:
            raise FgctlError(
                f"Category {category}: {config.model} has no label {unknown[0]!r}; "
                f"choose error_labels among {', '.join(labels)}."
            )
        self._errors = [labels[label] for label in config.error_labels]
        positions = getattr(self._model.config, "max_position_embeddings", None) or config.max_tokens
        self._max_tokens = min(config.max_tokens, self._tokenizer.model_max_length, positions)
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token or self._tokenizer.unk_token
        self._model.config.pad_token_id = self._tokenizer.pad_token_id

    def _tokens(self, *texts: list[str], **options: Any) -> Any:
        return self._tokenizer(
            *texts,
            truncation=True,
            max_length=self._max_tokens,
            padding=True,
            return_tensors="pt",
            **options,
        )

    def _probabilities(self, tokens: Any) -> Any:
        """Probability of an error: [N, ...], from the model's logits, float32 [N, ..., labels].

        The sum over error labels if labels exclude each other; the largest if they do not, or if there is one label.
        """
        with self._torch.inference_mode():
            logits = self._model(**tokens).logits.float()
        independent = self._model.config.problem_type == "multi_label_classification" or logits.shape[-1] == 1
        if independent:
            return logits.sigmoid()[..., self._errors].amax(-1)
        return logits.softmax(-1)[..., self._errors].sum(-1).clamp(max=1)


class TextClassifier(_Classifier):
    """Judges each segment by itself, or in a pair with the question or the passages."""

    def __init__(self, category: Category, config: TextClassification) -> None:
        """Raises FgctlError when the model cannot be loaded or lacks one of the error labels."""
        super().__init__(category, config)
        self._input = config.input

    def score(self, requests: Sequence[ScoreRequest], segments: Sequence[Sequence[Span]]) -> list[list[float]]:
        """See RewardModel. A pair that is too long loses the end of its longer text first."""
        texts = [self._texts(r, span) for r, spans in zip(requests, segments, strict=True) for span in spans]
        probabilities = [0.0] * len(texts)
        order = sorted(range(len(texts)), key=lambda i: (sum(map(len, texts[i])), texts[i]))
        for first in range(0, len(order), _BATCH):
            chunk = order[first : first + _BATCH]
            columns = zip(*(texts[i] for i in chunk), strict=True)
            batch = self._probabilities(self._tokens(*map(list, columns))).tolist()
            for i, probability in zip(chunk, batch, strict=True):
                probabilities[i] = probability
        following = iter(probabilities)
        return [[next(following) for _ in spans] for spans in segments]

    def _texts(self, request: ScoreRequest, span: Span) -> tuple[str, ...]:
        segment = request.response[slice(*span)]
        if self._input == "segment":
            return (segment,)
        if self._input == "question-segment":
            return request.question, segment
        return " ".join(passage.text for passage in request.passages), segment


class TokenClassifier(_Classifier):
    """Judges the tokens of a response in context. A segment gets the probability of its worst token."""

    def __init__(self, category: Category, config: TokenClassification) -> None:
        """Raises FgctlError when the model cannot be loaded, has no fast tokenizer or lacks one of the error labels."""
        super().__init__(category, config)
        if not self._tokenizer.is_fast:
            raise FgctlError(
                f"Category {category}: {config.model} has no fast tokenizer, which is needed; name another."
            )

    def score(self, requests: Sequence[ScoreRequest], segments: Sequence[Sequence[Span]]) -> list[list[float]]:
        """See RewardModel. Responses longer than the model takes are read in overlapping windows."""
        worst = [[0.0] * len(spans) for spans in segments]
        for i, start, end, probability in self._token_probabilities([request.response for request in requests]):
            for k, (a, b) in enumerate(segments[i]):
                if start < b and a < end:
                    worst[i][k] = max(worst[i][k], probability)
        return worst

    def _token_probabilities(self, responses: list[str]) -> Iterator[tuple[int, int, int, float]]:
        """Index of the response, start, end, and probability of an error, for every token."""
        for first in range(0, len(responses), _BATCH):
            tokens = self._tokens(
                responses[first : first + _BATCH],
                return_overflowing_tokens=True,
                return_offsets_mapping=True,
                stride=self._max_tokens // 4,
            )
            owners = tokens.pop("overflow_to_sample_mapping").tolist()
            offsets = tokens.pop("offset_mapping").tolist()
            batch = self._probabilities(tokens).tolist()
            for owner, spans, probabilities in zip(owners, offsets, batch, strict=True):
                for (start, end), probability in zip(spans, probabilities, strict=True):
                    if start < end:  # special tokens and padding are empty
                        yield first + owner, start, end, probability
