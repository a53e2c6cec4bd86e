"""The annotation labels: what each means, in a sentence for annotators, and how people and files may write them."""

from rewards.dataset import known_label

MEANINGS: dict[str, str] = {
    "Irrelevant": "It does not help to answer the question.",
    "Redundant": "It repeats what the response has said before.",
    "Incoherent": "It does not read well, or does not follow from what stands before it.",
    "Wrong-Grounding": "It contradicts the passages.",
    "Unverifiable": "The passages neither support nor contradict it.",
    "Toxic": "It is rude, disrespectful or hateful, so that people might leave a conversation.",
    "Missing-Answer": "The passages have an answer to the question, and the response lacks it.",
    "Missing-Major-Auxiliary": "The response lacks what a reader needs to understand the answer.",
    "Missing-Minor-Auxiliary": "The response lacks a detail that would be good to have.",
}


def as_spelt(label: str) -> str:
    """The label of that name, whatever its case and the space around it; an unknown one as it is."""
    try:
        return known_label(label, tuple(MEANINGS))
    except ValueError:
        return label
