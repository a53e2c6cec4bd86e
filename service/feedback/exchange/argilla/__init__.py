"""Argilla's records: JSON that `dataset.records.from_json` of Argilla 2 reads, and the exports of Argilla 2 and 1.

The browser counts Argilla's span offsets, so they are in UTF-16 units.

records.py     items as records
responses.py   what each user answered to a record as an item
exports.py     the shapes of Argilla's exports: nested, flattened, and those of Argilla 1
"""

from service.feedback.exchange.argilla.records import record, write
from service.feedback.exchange.argilla.responses import CONTROLS, read

__all__ = ["CONTROLS", "read", "record", "write"]
