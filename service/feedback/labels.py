"""What each annotation label means, in a sentence for annotators."""

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
