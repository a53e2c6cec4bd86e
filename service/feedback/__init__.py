"""Feedback that people give on responses: stored, handed out for annotation, and exchanged with other tools.

records.py      what goes into the store and comes out of it; HTTP uses the same types
validation.py   the rules for annotations, quick feedback and comparisons; no input or output
figures.py      how much there is: of an annotator's work, of each version, of everything
skips.py        why people skip
labels.py       what each label means, for annotators
errors.py       what can go wrong, with its HTTP status
opinions.py   what a caller said of scored answers
recorder.py     a bounded queue that writes served responses and scores to the store
runtime.py      the store inside a running service: opened, written to, pruned, closed
store/          the database: tables, the annotation queue, paging, removal
migrations/     steps from any older database to today's tables
exchange/       import and export in the file formats of other tools
quality/        the error rates of served answers, from labels and scores
agreement/      how far people agree with each other, and the reward models with them
"""
