"""Feedback over HTTP, on a store of its own and the stand-in engine."""

import asyncio
import json

import pytest

from service.domain.caller import Limits
from service.edge.keys import KeyFile
from service.feedback.agreement.from_store import measure_agreement
from tests.unit.service.event_loop import checked_holds

pytestmark = pytest.mark.anyio


@pytest.fixture
async def feedback_service(serve, tmp_path, answer, scored):
    """A service whose store has two responses to one question, one of them scored."""
    service = serve(feedback_store=f"sqlite:///{tmp_path}/feedback.db", max_body_bytes=1 << 20)
    await service.backend.feedback.start()
    store = service.backend.feedback.store
    await store.record([answer("r1"), answer("r2", "It plays somewhere else.")])
    await store.record_scores("r1", "v1", scored())
    yield service
    await service.backend.feedback.stop()


@pytest.fixture
def post(feedback_service):
    """Posts a body and returns the status and the reply."""

    async def send(path, **body):
        reply = await feedback_service.client.post(path, json=body)
        return reply.status_code, reply.json()

    return send


async def test_quick_feedback_is_stored_once(feedback_service, post):
    spans = [{"start": 0, "end": 8, "label": "Irrelevant", "comment": "no 👎"}]
    body = {"submission_id": "q1", "thumb": -1, "spans": spans, "comment": "Bad."}
    status, first = await post("/responses/r1/feedback", **body)
    assert (status, first["again"]) == (200, False)
    assert await post("/responses/r1/feedback", **body) == (200, first | {"again": True})
    status, error = await post("/responses/r1/feedback", **body | {"thumb": 1})
    assert (status, error["error"]["type"], error["error"]["param"]) == (409, "conflict", "submission_id")
    (item,) = (await feedback_service.client.get("/annotation/feedback", params={"response_id": "r1"})).json()["items"]
    assert {name: item[name] for name in body} == body
    assert item["caller"] == "anonymous"
    assert feedback_service.metric("fg_feedback_submissions_total", kind="quick") == 1


async def test_case_and_outer_space_of_a_label_do_not_matter(feedback_service, post):
    spans = [{"start": 0, "end": 8, "label": " irrelevant\t"}]
    assert (await post("/responses/r1/feedback", submission_id="q1", thumb=-1, spans=spans))[0] == 200
    (item,) = (await feedback_service.client.get("/annotation/feedback", params={"response_id": "r1"})).json()["items"]
    assert item["spans"][0]["label"] == "Irrelevant"
    errors = [{"label": "WRONG-grounding", "start": 0, "end": 8}]
    body = {"submission_id": "s1", "response_id": "r1", "annotator": "Ann", "errors": errors, "corrected": "Better."}
    await post("/annotation/next", annotator="Ann")
    assert (await post("/annotation/submit", **body))[0] == 200
    (stored,) = (await feedback_service.backend.feedback.store.annotations()).items
    assert [error.label for error in stored.errors] == ["Wrong-Grounding"]


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"thumb": 2}, 422, "thumb"),
        ({"submission_id": ""}, 422, "submission_id"),
        ({"submission_id": "a\x00"}, 422, "submission_id"),
        ({"spans": [{"start": 0, "end": 999}]}, 422, "spans.0"),
        ({"spans": [{"start": 0, "end": 3, "label": "x"}]}, 422, "spans.0"),
        ({"spans": [{"start": -(1 << 80), "end": 1 << 80}]}, 422, "spans.0.start"),
        ({"spans": [{"start": 0, "end": 1}] * 1001}, 422, "spans"),
        ({"comment": "x" * 10_001}, 422, "comment"),
        ({"other": 1}, 422, "other"),
    ],
)
async def test_quick_feedback_that_is_refused(post, change, status, param):
    answer = await post("/responses/r1/feedback", **{"submission_id": "q1", "thumb": 1} | change)
    assert (answer[0], answer[1]["error"]["param"]) == (status, param)


async def test_feedback_on_an_unknown_response(post):
    status, error = await post("/responses/r9/feedback", submission_id="q1", thumb=1)
    assert (status, error["error"]["type"]) == (404, "not_found")


async def test_feedback_right_after_an_answer(feedback_service):
    reply = (await feedback_service.ask()).json()
    body = {"submission_id": "q1", "thumb": 1}
    assert (await feedback_service.client.post(f"/responses/{reply['id']}/feedback", json=body)).status_code == 200


async def test_an_annotation_from_queue_to_page(feedback_service, post):
    status, assignment = await post("/annotation/next", annotator="Ann", order="uncertain")
    assert (status, assignment["response"]["id"], assignment["state"]) == (200, "r1", "open")
    assert assignment["response"]["scored"]["scores"]["relevance"]["segments"][0]["error"] is True
    draft = {"annotator": "Ann", "response_id": "r1", "draft": {"errors": ["👍"]}}
    assert await post("/annotation/draft", **draft) == (200, None)
    assert (await post("/annotation/next", annotator="Ann"))[1]["draft"] == {"errors": ["👍"]}
    submission = {
        "submission_id": "s1", "response_id": "r1", "annotator": "Ann", "corrected": "Better.", "seconds": 12.5,
        "errors": [{"label": "Wrong-Grounding", "start": 18, "end": 27}],
    }  # fmt: skip
    status, stored = await post("/annotation/submit", **submission)
    assert (status, stored["version"]) == (200, 1)
    assert len(stored["questions"]) == 1
    (item,) = (await feedback_service.client.get("/annotation/annotations")).json()["items"]
    assert item["errors"] == [{"label": "Wrong-Grounding", "start": 18, "end": 26 + 1, "explanation": ""}]
    assert feedback_service.metric("fg_feedback_submissions_total", kind="annotation") == 1
    assert (await post("/annotation/next", annotator="Ann"))[1]["response"]["id"] == "r2"
    assert await post("/annotation/skip", annotator="Ann", response_id="r2", reason="Not my field.") == (200, None)
    assert await post("/annotation/next", annotator="Ann") == (200, None)


async def test_every_broken_rule_is_explained(post):
    await post("/annotation/next", annotator="Ann")
    errors = [{"label": "Irrelevant", "start": 0, "end": 9}, {"label": "Redundant", "start": 4, "end": 13}]
    submission = {"submission_id": "s1", "response_id": "r1", "annotator": "Ann", "errors": errors}
    status, answer = await post("/annotation/submit", **submission)
    assert (status, answer["error"]["type"], answer["error"]["param"]) == (422, "invalid_request", "errors.1")
    assert [v["code"] for v in answer["error"]["violations"]] == ["overlap", "no_correction"]


async def test_a_stale_submission_is_answered_by_409_and_a_question(feedback_service, post):
    status, assignment = await post("/annotation/next", annotator="Ann", order="uncertain")
    assert assignment["version"] == 0
    marked = {"errors": [{"label": "Irrelevant", "start": 0, "end": 27}], "corrected": "It cost 30 million."}
    identity = {"response_id": "r1", "annotator": "Ann", "based_on": assignment["version"]}
    assert (await post("/annotation/submit", submission_id="tab A", **identity, **marked))[0] == 200
    status, refused = await post("/annotation/submit", submission_id="tab B", **identity)
    error = refused["error"]
    assert (status, error["type"], error["param"], error["version"]) == (409, "conflict", "based_on", 1)
    assert error["question"] == (
        "You have submitted this response with one mark in the meantime. Do you want to replace that?"
    )
    for path, body in (("draft", {"draft": {}}), ("skip", {})):
        status, refused = await post(f"/annotation/{path}", response_id="r1", annotator="Ann", **body)
        assert (status, refused["error"]["version"]) == (409, 1)
    (item,) = (await feedback_service.client.get("/annotation/annotations", params={"latest": True})).json()["items"]
    assert item["submission_id"] == "tab A"
    status, stored = await post("/annotation/submit", submission_id="tab B", **identity | {"based_on": 1})
    assert (status, stored["version"]) == (200, 2)


LONG = "x" * 100_001
SPAN = {"label": "Irrelevant", "start": 0, "end": 3}
GAP = {"label": "Missing-Answer", "passage_id": 1}
SUGGESTION = {"category": "relevance", "start": 0, "end": 3, "outcome": "accepted"}


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ({"errors": [SPAN] * 15_000}, "errors"),
        ({"errors": [{"label": 1}] * 60_000}, "errors.0.label"),
        ({"errors": [SPAN | {"explanation": LONG}]}, "errors.0.explanation"),
        ({"errors": [SPAN | {"label": LONG}]}, "errors.0.label"),
        ({"errors": [SPAN | {"start": 10**4000}]}, "errors.0.start"),
        ({"missing": [GAP] * 15_000}, "missing"),
        ({"missing": [GAP | {"sentence_id": [1] * 300_000}]}, "missing.0.sentence_id"),
        ({"suggestions": [SUGGESTION] * 10_000}, "suggestions"),
        ({"corrected": LONG}, "corrected"),
        ({"submission_id": LONG}, "submission_id"),
    ],
)
async def test_a_submission_over_the_limits_is_refused_before_it_is_looked_at(
    feedback_service, post, monkeypatch, content, param
):
    def looked_at(*arguments, **options):
        raise AssertionError

    monkeypatch.setattr("service.feedback.store.submissions.check", looked_at)
    await post("/annotation/next", annotator="Ann")
    submission = {"submission_id": "s1", "response_id": "r1", "annotator": "Ann"}
    status, answer = await post("/annotation/submit", **submission | content)
    assert (status, answer["error"]["param"]) == (422, param)
    assert len(json.dumps(answer)) < 1000


MARKS = [{"label": ("Irrelevant", "Redundant")[n % 2], "start": n % 20, "end": 30 + n % 20} for n in range(500)]
MADE_UP = {f"n{i}": 1 for i in range(76_000)}


@pytest.mark.parametrize(
    "content",
    [
        {"errors": [{}] * 60_000},
        {"errors": [SPAN] * 15_000},
        {"errors": MARKS, "corrected": "Better."},
        {"suggestions": [SUGGESTION] * 10_000},
        {"missing": [GAP | {"sentence_id": [1] * 300_000}]},
        MADE_UP,
        {"errors": [SPAN | MADE_UP]},
    ],
    ids=[
        "empty marks",
        "too many marks",
        "marks that overlap",
        "too many suggestions",
        "too many sentences",
        "unknown fields",
        "one mark of unknown fields",
    ],
)
async def test_no_submission_holds_the_event_loop(feedback_service, post, content):
    await post("/annotation/next", annotator="Ann")
    body = json.dumps({"submission_id": "s1", "response_id": "r1", "annotator": "Ann"} | content)
    options = {"content": body.encode(), "headers": {"content-type": "application/json"}}
    reply = await checked_holds(lambda: feedback_service.client.post("/annotation/submit", **options))
    assert reply.status_code in (413, 422)


@pytest.mark.parametrize(("path", "field"), [("draft", "draft"), ("skip", "reason")])
async def test_a_draft_and_a_reason_have_limits(post, path, field):
    await post("/annotation/next", annotator="Ann")
    body = {"draft": {"x": "y" * 500_001}} if field == "draft" else {"reason": LONG}
    status, answer = await post(f"/annotation/{path}", annotator="Ann", response_id="r1", **body)
    assert (status, answer["error"]["param"]) == (422, field)


async def test_a_thousand_wrong_marks_are_answered_with_twenty_reasons(post):
    """As many as the limit allows, each overlapping each."""
    await post("/annotation/next", annotator="Ann")
    labels = ("Irrelevant", "Redundant", "Incoherent")
    errors = [{"label": labels[n % 3], "start": n % 20, "end": 30 + n % 20} for n in range(500)]
    status, answer = await post(
        "/annotation/submit", submission_id="s1", response_id="r1", annotator="Ann", errors=errors, corrected="Better."
    )
    assert status == 422
    assert len(answer["error"]["violations"]) == 20
    assert len(json.dumps(answer)) < 10_000


async def test_comparisons(feedback_service, post):
    status, pair = await post("/annotation/pairs", annotator="Ann")
    assert status == 200
    assert pair["shown_first"] in ("a", "b")
    comparison = {
        "submission_id": "c1", "annotator": "Ann", "a": pair["a"]["id"], "b": pair["b"]["id"], "choice": "a",
    }  # fmt: skip
    assert (await post("/annotation/compare", **comparison))[0] == 200
    assert await post("/annotation/pairs", annotator="Ann") == (200, None)
    (item,) = (await feedback_service.client.get("/annotation/comparisons", params={"annotator": "Ann"})).json()[
        "items"
    ]
    assert item["shown_first"] == pair["shown_first"]


async def test_pages(feedback_service, post):
    await post("/annotation/next", annotator="Ann")
    for i in range(5):
        await post("/annotation/submit", submission_id=f"s{i}", response_id="r1", annotator="Ann")
    seen, cursor = [], {}
    while True:
        page = (await feedback_service.client.get("/annotation/annotations", params={"limit": 2} | cursor)).json()
        seen += [item["submission_id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == [f"s{i}" for i in range(5)]
    for wrong in ({"cursor": "x"}, {"limit": 0}, {"limit": 1001}, {"response_id": "\x00"}):
        reply = await feedback_service.client.get("/annotation/annotations", params=wrong)
        assert (reply.status_code, reply.json()["error"]["param"]) == (422, next(iter(wrong)))


@pytest.fixture
async def annotated(feedback_service, post):
    """Two people who mark the same sentence of the scored response, and a third who marks nothing."""
    marked = {"errors": [{"label": "Irrelevant", "start": 0, "end": 27}], "corrected": "It cost 30 million."}
    for name, content in (("Ann", marked), ("Bob", marked), ("Cy", {})):
        await post("/annotation/pairs", annotator=name)
        identity = {"submission_id": f"of {name}", "response_id": "r1", "annotator": name}
        assert (await post("/annotation/submit", **identity, **content))[0] == 200


async def test_the_report_of_agreement(feedback_service, annotated):
    reply = await feedback_service.client.get("/annotation/agreement")
    assert reply.status_code == 200
    report = reply.json()
    assert report == await measure_agreement(feedback_service.backend.feedback.store)
    assert report["people"]["categories"]["relevance"]["alpha"] is not None
    assert {name: figures["annotations"] for name, figures in report["annotators"].items()} == {
        "Ann": 1,
        "Bob": 1,
        "Cy": 1,
    }
    assert [week["categories"] for week in report["weeks"]] == [report["people"]["categories"]]
    # From then on the metrics and the page show the report that was asked for.
    shown = feedback_service.metric("fg_annotation_agreement_ratio", category="relevance")
    assert shown == report["people"]["categories"]["relevance"]["alpha"]
    tables = (await feedback_service.client.get("/agreement/tables")).text
    assert "Annotations: 3; people: 3; responses that several of them annotated: 1." in tables


async def test_concurrent_callers_share_one_agreement_computation_and_a_cancelled_caller_does_not_end_it(
    feedback_service, annotated, monkeypatch
):
    computed, begun, hold = [], asyncio.Event(), asyncio.Event()

    async def slowly(store):
        computed.append(store)
        begun.set()
        await hold.wait()
        return await measure_agreement(store)

    monkeypatch.setattr("service.feedback.runtime.measure_agreement", slowly)
    asked = [asyncio.create_task(feedback_service.backend.feedback.agreement()) for _ in range(3)]
    await begun.wait()
    asked[0].cancel()
    hold.set()
    reports = await asyncio.gather(*asked[1:])
    assert len(computed) == 1
    assert reports[0] == reports[1] == await feedback_service.backend.feedback.agreement()
    assert len(computed) == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/annotation/draft", {"annotator": "Ann", "response_id": "r1", "draft": {"x": "\ud800"}}),
        ("/annotation/draft", {"annotator": "Ann", "response_id": "r1", "draft": {"\udfff": 1}}),
        ("/annotation/draft", {"annotator": "Ann", "response_id": "r1", "draft": {"x": float("nan")}}),
        ("/annotation/skip", {"annotator": "Ann", "response_id": "r1", "reason": "\ud800"}),
        ("/annotation/next", {"annotator": "\ud800"}),
        ("/annotation/next", {"annotator": "\u202eAnn"}),
        ("/annotation/submit", {"submission_id": "s", "response_id": "r1", "annotator": "Ann", "corrected": "\ud800"}),
        (
            "/annotation/submit",
            {"submission_id": "s", "response_id": "r1", "annotator": "Ann", "seconds": float("inf")},
        ),
        ("/responses/r1/feedback", {"submission_id": "s", "comment": "\ud800"}),
    ],
)
async def test_text_that_no_database_can_store_is_refused(feedback_service, path, body):
    await feedback_service.client.post("/annotation/next", json={"annotator": "Ann"})
    content = json.dumps(body).encode()
    reply = await feedback_service.client.post(path, content=content, headers={"content-type": "application/json"})
    assert reply.status_code == 422


async def test_a_service_without_a_store_says_so(service):
    for reply in (
        await service.client.post("/responses/r1/feedback", json={"submission_id": "q1"}),
        await service.client.post("/annotation/next", json={"annotator": "Ann"}),
        await service.client.get("/annotation/annotations"),
        await service.client.get("/annotation/agreement"),
    ):
        assert (reply.status_code, reply.json()["error"]["type"]) == (404, "not_found")
        assert "FGCTL_FEEDBACK_STORE" in reply.json()["error"]["message"]


async def test_a_name_is_used_by_its_own_key_and_by_a_key_with_the_scope_admin(serve, tmp_path, answer):
    file = KeyFile(tmp_path / "keys.toml")
    scopes = {"team": ["feedback"], "other": ["feedback"], "admin": ["feedback", "admin"]}
    keys = {name: file.add(name, some, Limits())[1] for name, some in scopes.items()}
    service = serve(feedback_store=f"sqlite:///{tmp_path}/feedback.db", keys=file.path)
    await service.backend.feedback.start()
    await service.backend.feedback.store.record([answer("r1"), answer("r2", "It plays somewhere else.")])
    target = {"response_id": "r1", "annotator": "Ann"}
    asked = {
        "next": {"annotator": "Ann"},
        "draft": target | {"draft": {"secret": True}},
        "skip": target,
        "submit": target | {"submission_id": "s1"},
        "pairs": {"annotator": "Ann"},
        "compare": {"submission_id": "c1", "annotator": "Ann", "a": "r1", "b": "r2", "choice": "a"},
    }
    for who, status, submitted in (("team", 200, 0), ("other", 403, 0), ("admin", 200, 1), ("team", 200, 1)):
        for path, content in asked.items():
            body = content | {"based_on": submitted} if path in ("draft", "skip") else content
            headers = {"x-api-key": keys[who]}
            reply = await service.client.post(f"/annotation/{path}", json=body, headers=headers)
            assert reply.status_code == status, (who, path)
            if status == 403:
                assert (reply.json()["error"]["type"], reply.json()["error"]["param"]) == ("forbidden", "annotator")
                assert "belongs to another key" in reply.json()["error"]["message"]
    other = {"json": {"annotator": "Bob"}, "headers": {"x-api-key": keys["team"]}}
    assert (await service.client.post("/annotation/next", **other)).status_code == 200
    await service.backend.feedback.stop()


async def test_the_key_and_its_scope(serve, tmp_path, answer):
    file = KeyFile(tmp_path / "keys.toml")
    keys = {scope: file.add(scope, [scope], Limits()) for scope in ("generate", "feedback")}
    service = serve(feedback_store=f"sqlite:///{tmp_path}/feedback.db", keys=file.path)
    await service.backend.feedback.start()
    await service.backend.feedback.store.record_response(answer())
    for path in ("/responses/r1/feedback", "/annotation/next"):
        body = {"submission_id": "q1"} if path.startswith("/responses") else {"annotator": "Ann"}
        for scope, status in (("generate", 403), ("feedback", 200)):
            reply = await service.client.post(path, json=body, headers={"x-api-key": keys[scope][1]})
            assert reply.status_code == status
    (item,) = (await service.backend.feedback.store.quick_feedback_page()).items
    assert item.caller == f"key:{keys['feedback'][0]}"
    await service.backend.feedback.stop()


async def test_an_annotator_goes_back_to_a_submitted_answer_and_sees_their_progress(post):
    await post("/annotation/next", annotator="Ann")
    clean = {"submission_id": "s1", "response_id": "r1", "annotator": "Ann"}
    assert (await post("/annotation/submit", **clean))[0] == 200
    status, progress = await post("/annotation/progress", annotator="Ann", since="2026-01-01T00:00:00Z")
    assert status == 200
    assert {name: progress[name] for name in ("done", "today", "left")} == {"done": 1, "today": 1, "left": 1}
    assert [row["response_id"] for row in progress["last"]] == ["r1"]
    status, again = await post("/annotation/open", annotator="Ann", response_id="r1")
    assert (status, again["state"], again["annotation"]["submission_id"]) == (200, "submitted", "s1")
    assert (await post("/annotation/open", annotator="Ann", response_id="r9"))[0] == 404
    status, error = await post("/annotation/progress", annotator="Ann", since="2026-01-01T00:00:00")
    assert (status, error["error"]["param"]) == (422, "since")


async def test_pairs_are_skipped_and_both_may_be_bad(feedback_service, post):
    _, pair = await post("/annotation/pairs", annotator="Ann")
    ids = {"a": pair["a"]["id"], "b": pair["b"]["id"], "annotator": "Ann"}
    assert await post("/annotation/pairs/skip", **ids, reason="The passages are broken") == (200, None)
    assert await post("/annotation/pairs", annotator="Ann") == (200, None)
    status, stored = await post("/annotation/compare", submission_id="c1", choice="neither", **ids)
    assert (status, stored["contradicts"]) == (200, [])


async def test_the_metrics_show_what_people_say_of_each_version(serve, tmp_path, answer):
    service = serve(feedback_store=f"sqlite:///{tmp_path}/feedback.db")
    await service.backend.feedback.start()
    await service.backend.feedback.agreement()  # of the empty store, which is measured at the start
    store = service.backend.feedback.store
    await store.record([answer("r1", policy="v1"), answer("r2", "Elsewhere.", policy="v2")])
    post, version = service.client.post, {"profile": "medium", "policy": "v1"}
    await post("/annotation/next", json={"annotator": "Ann"})
    await post("/responses/r1/feedback", json={"submission_id": "q1", "thumb": 1})
    choice = {"submission_id": "c1", "annotator": "Ann", "a": "r1", "b": "r2", "choice": "a"}
    await post("/annotation/compare", json=choice)
    skip = {"annotator": "Ann", "response_id": "r2", "reason": "The question makes no sense"}
    await post("/annotation/skip", json=skip)
    report = (await service.client.get("/annotation/agreement")).json()
    assert report["feedback"]["versions"][0] == version | {
        "thumbs_up": 1, "thumbs_down": 0, "wins": 1, "losses": 0, "ties": 0,
    }  # fmt: skip
    assert service.metric("fg_feedback_left") == 2
    assert service.metric("fg_feedback_skips", kind="annotation", reason="bad_question") == 1
    assert service.metric("fg_feedback_thumbs", **version, thumb="up") == 1
    assert service.metric("fg_feedback_comparisons", **version, result="win") == 1
    assert service.metric("fg_feedback_comparisons", profile="medium", policy="v2", result="loss") == 1
    await service.backend.feedback.stop()


async def test_sentences_are_judged_over_http(feedback_service, post):
    status, assignment = await post("/annotation/judgements/next", annotator="Ann")
    assert (status, assignment["response"]["id"]) == (200, "r1")
    sentences = [{"start": 0, "end": 27, "supported": False}, {"start": 28, "end": 47, "supported": None}]
    body = {"response_id": "r1", "annotator": "Ann", "sentences": sentences}
    assert await post("/annotation/judgements", **body) == (200, None)
    assert feedback_service.metric("fg_feedback_submissions_total", kind="judgement") == 1
    assert await post("/annotation/judgements/next", annotator="Ann") == (200, None)
    outside = [sentences[0] | {"end": 999}]
    for wrong, param in (([], "sentences"), (outside, "sentences.0")):
        status, reply = await post("/annotation/judgements", **body | {"sentences": wrong})
        assert (status, reply["error"]["param"]) == (422, param)
