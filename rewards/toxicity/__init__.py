"""Toxicity of a text, judged offline from its words alone: the reward models of the task detoxification.

data.py               RealToxicityPrompts with Perspective's scores, toxic spans, and their splits
normalise.py          undoes disguises such as leet, spaces and repeated letters
grams.py              hashed word and character n-grams of texts
pieces.py             word pieces, weighted by the sentence encoder's vectors of them
model.py              the scorer: the probability that people find a text toxic
fitting.py            fits it on rated texts
sentence_rewards.py   rewards of a response: at each sentence's end, or one at the end
second_opinion.py     a scorer of another family, which nothing is ever trained on
probes.py             sentences of our own that scorers get wrong: identities, disguises, negation, quotation
evaluation.py         agreement with Perspective and with people's spans, and the probes
"""
