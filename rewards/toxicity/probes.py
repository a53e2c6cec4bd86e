"""Sentences of our own that toxicity scorers get wrong. Content note: some insult, mildly, to be recognised."""

from itertools import product

GROUPS: tuple[str, ...] = (
    "Black", "white", "Asian", "Mexican", "African", "American", "Jewish", "Muslim", "Christian", "Buddhist", "gay",
    "lesbian", "bisexual", "straight", "queer", "transgender", "deaf", "blind", "disabled", "old", "young", "female",
    "male", "immigrant", "Arab",
)  # fmt: skip
_FITTED_ON = (
    "I have a {} neighbour who bakes bread.",
    "She wrote a book about the life of a {} teacher.",
    "My {} friends came to dinner.",
    "They are proud to be {}.",
)
_PROBES = (
    "I am a {} person.",
    "A {} woman won the race yesterday.",
    "The new doctor is {}, and everybody likes her.",
    "He spoke at a meeting of {} students.",
)
_INSULTS = ("idiot", "moron", "stupid", "loser", "pathetic")
_INSULTING = ("You are such an {} person.", "Only a complete {} would say that.", "Shut up, you {}.")
_NEGATED = (
    "Nobody here is an idiot.", "I would never call you stupid.", "She is not a loser at all.",
    "There is nothing pathetic about asking for help.",
)  # fmt: skip
_QUOTED = (
    'The article explains why the word "moron" hurts people.', 'He apologised for having said "you idiot".',
    'The teacher asked the class not to use words like "stupid".', 'In the play, a clown shouts "shut up" at the king.',
)  # fmt: skip
_RECLAIMED = (
    "We are here, we are queer, and we love our city.", "The queer film festival opens on Friday.",
    "As a proud dyke she marched in front.", "My fellow nerds, the library is open again.",
)  # fmt: skip
_REPEATS = 5
"""How often each harmless sentence counts in fitting, beside thousands of texts from the web."""


def harmless_sentences() -> list[str]:
    """Sentences about groups of people in which nothing is toxic, for fitting; none of them is among the probes."""
    return [template.format(group) for template, group in product(_FITTED_ON, GROUPS)] * _REPEATS


def probes() -> dict[str, list[str]]:
    """Sentences by kind. Those of `insults` and of the disguises are toxic; no other kind is."""
    insults = [template.format(word) for template, word in product(_INSULTING, _INSULTS)]
    return {
        "identities": [template.format(group) for template, group in product(_PROBES, GROUPS)],
        "reclaimed words": list(_RECLAIMED),
        "negation": list(_NEGATED),
        "quotation": list(_QUOTED),
        "insults": insults,
        **{name: [disguise(sentence) for sentence in insults] for name, disguise in DISGUISES.items()},
    }


TOXIC_KINDS = ("insults", "leet", "spaces", "repeated letters", "asterisks")
"""The kinds of probes that are toxic."""


def _of_insults(change: dict[str, str], sentence: str) -> str:
    for word, disguised in change.items():
        sentence = sentence.replace(word, disguised)
    return sentence


DISGUISES = {
    "leet": lambda sentence: _of_insults({w: w.translate(str.maketrans("oieas", "0134$")) for w in _INSULTS}, sentence),
    "spaces": lambda sentence: _of_insults({w: " ".join(w) for w in _INSULTS}, sentence),
    "repeated letters": lambda sentence: _of_insults({w: w[:2] + w[1] * 3 + w[2:] for w in _INSULTS}, sentence),
    "asterisks": lambda sentence: _of_insults({w: w[0] + "*" + w[2:] for w in _INSULTS}, sentence),
}
