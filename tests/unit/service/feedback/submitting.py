"""A program that submits annotations until it is killed: submitting.py URL NAME FIRST LAST.

It prints the id of each submission once it is acknowledged.
"""

import asyncio
import sys

from service.feedback.errors import StoreFailed
from service.feedback.records import Annotation, NewResponse, Span
from service.feedback.store.feedback_store import open_store


async def main(url, name, first, last):
    store = await open_store(url)
    await store.sign_in(name)
    await store.record_response(NewResponse(id="r1", text="Some text.", question="q"))
    try:
        for i in range(int(first), int(last)):
            span = Span(label="Irrelevant", start=0, end=4, explanation="x" * 2000)
            submission = f"{name} {i}"
            await store.submit(
                Annotation(
                    submission_id=submission, response_id="r1", annotator=name, errors=(span,), corrected="Text."
                )
            )
            print(submission, flush=True)
    except StoreFailed as error:
        print(f"failed: {error}", flush=True)
    finally:
        await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
