"""The feedback store: responses, scores and feedback in SQLite or PostgreSQL.

feedback_store.py        the interface: each method is one transaction
database.py              connections, one writer at a time, and errors as sentences
tables.py                the tables and their columns
rows.py                  table rows as records
responses.py             writing responses and scores, and finding them
annotators.py            signing people in, and which key owns a name
submissions.py           annotations, quick feedback and comparisons, each stored once
importing.py             feedback of files, many items in one transaction
annotation_queue.py      which response an annotator gets next, and which pair
annotation_priority.py   the columns that order the queue
reading.py               pages of feedback, filtered
sampling/                drawing answers to label for the error rate, and reading back the draws
paging.py                cursors that stay stable while rows are added
removal.py               deleting a person's data, a response, and old responses
"""
