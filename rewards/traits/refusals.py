"""Whether an answer is a refusal, by the English phrases in which models refuse to answer.

An answer is a refusal if its first sentence refuses, or if the refusing sentences have at least two thirds of its
words. Phrases match in lower case, as in running text: "I Can't Tell You Why" is a song. Sentences that may well be
answers, such as "it is not known who wrote it" or "the Constitution does not mention it", count only if they name the
passages as the source that lacks the information.
"""

import re

from rewards.segmentation import sentences


def is_refusal(answer: str) -> bool:
    """Whether the answer is a refusal; an empty answer is not."""
    texts = [answer[start:end] for start, end in sentences(answer)]
    if not texts:
        return False
    if _refuses(texts[0]):
        return True
    refusing = sum(len(text.split()) for text in texts if _refuses(text))
    return 3 * refusing >= 2 * sum(len(text.split()) for text in texts)


def _refuses(sentence: str) -> bool:
    sentence = (sentence[:1].lower() + sentence[1:_READ]).replace("’", "'")
    return _OPENING.match(sentence) is not None or _ANYWHERE.search(sentence) is not None


_READ = 300
"""Only so many characters of a sentence are read, so that a long loop of words takes no longer than other text."""
_NOT = r"(?:do not|don't|does not|doesn't|did not|didn't|can ?not|can't|could not|couldn't|fails? to|never)(?: \w+ly)?"
_GIVEN = r"(?:given|provided|supplied|available|retrieved|above|following|reference)"
_TEXTS = r"(?:texts?|information|sources?|documents?|articles?|references?|paragraphs?|data|materials?)"
_SOURCE = (
    r"(?:(?:the|this|these|those|your|any of the|all of the|both) )?"
    rf"(?:(?:{_GIVEN} )*(?:passages?|excerpts?|context)(?: {_GIVEN})?|(?:{_GIVEN} )+{_TEXTS}|{_TEXTS} {_GIVEN})\b"
)
_SAY = (
    r"(?:say|state|mention|specify|provide|contain|give|include|tell|answer|indicate|address|name|identify|discuss|"
    r"describe|cover|offer|explain|reveal|have|list|refer|clarify|confirm|help|make)"
)
_SAID = (
    r"(?:said|stated|mentioned|specified|provided|contained|given|included|answered|indicated|addressed|named|"
    r"identified|discussed|described|covered|explained|listed|known|clear|found|available|possible)"
)
_FIND_OUT = r"(?:answer|determine|find|provide|identify|locate|confirm|verify|give|say|tell|know|help)"
_SPEAKER = r"(?:I|i|we|We)"

_OPENING = re.compile(
    # Up to three short clauses before it: "Sorry, but", "Based on the passages,".
    r"(?:[^,.;:\"“]{1,60}, |(?:sorry|but|and|so) ){0,3}?(?:"
    rf"{_SPEAKER} (?:\w+ )?{_NOT} (?:{_FIND_OUT}|have (?:any|enough|sufficient|access|the|that|information))\b"
    rf"|{_SPEAKER}(?: am| are|'m|'re)(?: \w+)? (?:unable|not able|not sure|unsure|not certain|uncertain|sorry|afraid)\b"
    rf"|{_SOURCE} {_NOT} {_SAY}\b"
    rf"|(?:none|neither) of {_SOURCE} (?:\w+ly )?{_SAY}s?\b"
    rf"|no passages? (?:\w+ly )?{_SAY}s?\b"
    r"|there(?: is|'s| are|'re) (?:no|not enough|not any|insufficient)(?: \w+)? (?:information|context|details?|data)\b"
    r"|(?:the|this|that|your) (?:question|answer)(?: \w+){0,4} (?:can ?not|can't|could not|couldn't) be \w+"
    r"|(?:the|this|that|your) answer(?: to (?:the|this|that|your) question)?(?: is|'s| remains) (?:not |un)"
    r"(?:known|given|stated|clear|specified|provided|mentioned|available|certain|sure|found|included|contained)\b"
    rf"|it(?: is not|'s not| isn't) possible to {_FIND_OUT}\b"
    rf"|it (?:can ?not|can't|could not|couldn't) be (?:answered|determined|verified|confirmed)\b"
    rf"|(?:unable to|not able to|can ?not|can't) {_FIND_OUT}\b"
    r"|(?:insufficient|not enough)(?: \w+)? (?:information|context|data)\b"
    r"|no(?: \w+)? (?:information|context|data)\b"
    r"(?:\W*$| (?:is|was|has been) (?:given|provided|available|found)| (?:about|on|to)\b)"
    r"|not (?:stated|specified|mentioned|given|provided|answered|available)\b"
    r"|(?:unknown|unanswerable|n/?[aA]|no answer|not sure|not known)\W*$"
    r")"
)
"""Matches at the beginning of a sentence, whose first letter is in lower case."""
_ANYWHERE = re.compile(
    rf"(?:n't|\bnot)(?: \w+ly)? (?:be )?{_SAID}(?: \w+)? (?:in|by|from|within|to|with) {_SOURCE}"
    rf"|\b(?:unclear|unknown|unspecified|unstated) (?:in|from|by) {_SOURCE}"
    rf"|\b(?:no|not any) (?:\w+ )?(?:mention|answers?|references?|evidence|indication|passage)\b[^.;]* {_SOURCE}"
)
"""Matches anywhere in a sentence."""
