"""Feedback over HTTP: quick feedback from applications, and what the annotation pages need."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from service.api.common.query import only_known
from service.api.feedback.protocol import (
    AnnotationIn,
    ComparisonIn,
    DraftIn,
    JudgementIn,
    NextIn,
    NextJudgementIn,
    OpenIn,
    PairIn,
    ProgressIn,
    QuickIn,
    SkipIn,
    SkipPairIn,
    stored_form,
)
from service.backend import backend_of
from service.domain.caller import kept_caller
from service.edge.authentication import caller_of
from service.edge.route_scope import needs
from service.errors import ANY_ROUTE, WITH_BODY, error_responses
from service.feedback.agreement.report import AgreementReport
from service.feedback.figures import Progress
from service.feedback.records import (
    Annotation,
    Assignment,
    Comparison,
    Identifier,
    Page,
    Pair,
    QuickFeedback,
    Stored,
    StoredAnnotation,
    StoredComparison,
    StoredQuick,
)
from service.feedback.runtime import FeedbackRuntime
from service.feedback.store.feedback_store import FeedbackStore
from service.feedback.store.paging import MAX_PAGE

router = APIRouter(dependencies=[Depends(only_known)])
_READING = ANY_ROUTE | error_responses(404, 503)
_WRITING = WITH_BODY | error_responses(404, 409, 503)
UNKNOWN_CALLER = "anonymous"
"""Who gives quick feedback without a key: addresses are not kept."""

Cursor = Annotated[str | None, Query(max_length=400, description="`next` of the page before; nothing for the first.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Rows of a page.")]
OfResponse = Annotated[Identifier | None, Query(description="Only those of this response.")]
By = Annotated[Identifier | None, Query(description="Only those by this annotator.")]


@router.post("/responses/{response_id}/feedback", responses=_WRITING)
@needs("feedback")
async def give_feedback(request: Request, response_id: Identifier, body: QuickIn) -> Stored:
    """Keep a thumb, spans and a comment on an answer. The reply means that it is on disk."""
    caller = kept_caller(caller_of(request).id) or UNKNOWN_CALLER
    quick = QuickFeedback(response_id=response_id, caller=caller, **body.model_dump())
    feedback = _feedback(request)
    await feedback.settled()  # the answer may still be on its way to the store
    return feedback.count("quick", await feedback.store.quick_feedback(quick))


@router.post("/annotation/next", responses=_WRITING)
@needs("feedback")
async def next_response(request: Request, body: NextIn) -> Assignment | None:
    """What the annotator is to judge: what was begun, or one more response; null when nothing is left."""
    store = await _signed_in(request, body.annotator)
    return await store.next_response_for(body.annotator, body.order)


@router.post("/annotation/open", responses=_WRITING)
@needs("feedback")
async def open_again(request: Request, body: OpenIn) -> Assignment:
    """A response with what the annotator has submitted for it, to go back to it; nothing is handed out."""
    return await _feedback(request).store.open_again(body.annotator, body.response_id, caller_of(request))


@router.post("/annotation/progress", responses=_WRITING)
@needs("feedback")
async def progress(request: Request, body: ProgressIn) -> Progress:
    """How much the annotator has done and how much is left, with the responses done last."""
    store = await _signed_in(request, body.annotator)
    return await store.progress(body.annotator, body.kind, body.order, body.since)


@router.post("/annotation/draft", responses=_WRITING)
@needs("feedback")
async def save_draft(request: Request, body: DraftIn) -> None:
    """Keep what the annotator has so far."""
    store, by = _feedback(request).store, caller_of(request)
    await store.save_draft(body.annotator, body.response_id, body.draft, by, body.based_on)


@router.post("/annotation/skip", responses=_WRITING)
@needs("feedback")
async def skip(request: Request, body: SkipIn) -> None:
    """Leave a response to others."""
    store, by = _feedback(request).store, caller_of(request)
    await store.skip(body.annotator, body.response_id, body.reason, by, body.based_on)


@router.post("/annotation/submit", responses=_WRITING)
@needs("feedback")
async def submit(request: Request, body: AnnotationIn) -> Stored:
    """Keep an annotation; a second one of a response is its next version. The reply means that it is on disk."""
    feedback, annotation = _feedback(request), stored_form(Annotation, body)
    stored = await feedback.store.submit(annotation, by=caller_of(request), based_on=body.based_on)
    return feedback.count("annotation", stored)


@router.post("/annotation/judgements/next", responses=_WRITING)
@needs("feedback")
async def next_to_judge(request: Request, body: NextJudgementIn) -> Assignment | None:
    """A response, drawn for the error rate, whose sentences the annotator is to judge; null when nothing is left."""
    store = await _signed_in(request, body.annotator)
    return await store.next_response_for(body.annotator, "error_rate", quick=True)


@router.post("/annotation/judgements", responses=_WRITING)
@needs("feedback")
async def judge(request: Request, body: JudgementIn) -> None:
    """Keep whether the passages support each sentence of a response; a second judgement replaces the first."""
    feedback = _feedback(request)
    await feedback.store.judge(body, by=caller_of(request))
    feedback.metrics.submissions.labels("judgement").inc()


@router.post("/annotation/pairs", responses=_WRITING)
@needs("feedback")
async def next_pair(request: Request, body: PairIn) -> Pair | None:
    """Two answers to one question that the annotator has not compared; null when none are left."""
    store = await _signed_in(request, body.annotator)
    return await store.next_pair(body.annotator)


@router.post("/annotation/pairs/skip", responses=_WRITING)
@needs("feedback")
async def skip_pair(request: Request, body: SkipPairIn) -> None:
    """Leave a pair to others."""
    await _feedback(request).store.skip_pair(body.annotator, body.a, body.b, body.reason, caller_of(request))


@router.post("/annotation/compare", responses=_WRITING)
@needs("feedback")
async def compare(request: Request, body: ComparisonIn) -> Stored:
    """Keep a comparison. The reply means that it is on disk."""
    feedback, comparison = _feedback(request), stored_form(Comparison, body)
    stored = await feedback.store.compare(comparison, by=caller_of(request), based_on=body.based_on)
    return feedback.count("comparison", stored)


@router.get("/annotation/annotations", responses=_READING)
@needs("feedback")
async def annotations(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = 100,
    response_id: OfResponse = None,
    annotator: By = None,
    latest: Annotated[bool, Query(description="Only the latest version by each annotator of each response.")] = False,
) -> Page[StoredAnnotation]:
    """Annotations in the order in which they were submitted."""
    store = _feedback(request).store
    return await store.annotations(cursor, limit, response_id=response_id, annotator=annotator, latest=latest)


@router.get("/annotation/comparisons", responses=_READING)
@needs("feedback")
async def comparisons(
    request: Request, cursor: Cursor = None, limit: Limit = 100, annotator: By = None
) -> Page[StoredComparison]:
    """Comparisons in the order in which they were submitted."""
    return await _feedback(request).store.comparisons(cursor, limit, annotator=annotator)


@router.get("/annotation/feedback", responses=_READING)
@needs("feedback")
async def quick_feedback(
    request: Request, cursor: Cursor = None, limit: Limit = 100, response_id: OfResponse = None
) -> Page[StoredQuick]:
    """Quick feedback in the order in which it was given."""
    return await _feedback(request).store.quick_feedback_page(cursor, limit, response_id=response_id)


@router.get("/annotation/agreement", responses=_READING)
@needs("feedback")
async def agreement(request: Request) -> AgreementReport:
    """How far people agree, and the reward models with them, on all that is annotated now."""
    return AgreementReport.model_validate(await _feedback(request).agreement())


async def _signed_in(request: Request, annotator: str) -> FeedbackStore:
    """The store, in which the annotator is known from now on."""
    store = _feedback(request).store
    await store.sign_in(annotator, caller_of(request))
    return store


def _feedback(request: Request) -> FeedbackRuntime:
    return backend_of(request).feedback
