"""The pages and their assets. Pages need no key; their scripts send one with every request."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

from rewards.categories import ANNOTATED, CategorySpec
from rewards.dataset import SAMPLE, load_examples
from service.backend import backend_of
from service.edge.route_scope import needs
from service.feedback.labels import MEANINGS
from service.feedback.runtime import STORELESS
from service.feedback.skips import OWN_WORDS, SKIP_REASONS
from service.feedback.validation import MISSING_LABELS, NEEDS_SOURCES
from service.pages.api_reference import object_types, operations

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Page:
    """A page: `templates/NAME.html`, whose script is `static/NAME.js`."""

    name: str
    path: str
    title: str
    """Its name in the navigation."""
    needs_store: bool = True
    """Whether it needs a feedback store; without one it says how to configure it."""


PAGES = (
    Page("playground", "/", "Try", needs_store=False),
    Page("annotate", "/annotate", "Annotate"),
    Page("judge", "/judge", "Check sentences"),
    Page("compare", "/compare", "Compare"),
    Page("agreement", "/agreement", "Agreement"),
    Page("docs", "/docs", "API", needs_store=False),
)
"""In the order of the navigation."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the pages: nothing inline, nothing from other hosts."""

_templates = Environment(
    loader=PackageLoader("service.pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


class Assets(StaticFiles):
    """Scripts and styles. Browsers cache them but ask before each use, so that a new version is seen at once."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """The file, or 304 if the browser has it."""
        response = super().file_response(*arguments, **options)
        response.headers["cache-control"] = "no-cache"
        return response


assets = needs(None)(Assets(packages=[("service.pages", "static")]))


def _endpoint(page: Page) -> Callable[[Request], Awaitable[HTMLResponse]]:
    @needs(None)
    async def render(request: Request) -> HTMLResponse:
        backend = backend_of(request)
        has_store = backend.settings.feedback_store is not None
        content = _templates.get_template(f"{page.name}.html").render(
            page=page,
            pages=PAGES,
            data=_data(backend.categories),
            skip_reasons=SKIP_REASONS.values(),
            feedback=has_store,
            storeless=STORELESS if page.needs_store and not has_store else None,
            **(_reference(request.app.openapi()) if page.name == "docs" else {}),
        )
        return HTMLResponse(content, headers={"content-security-policy": POLICY})

    return render


for _page in PAGES:
    router.add_api_route(_page.path, _endpoint(_page), methods=["GET"], name=_page.name)


@router.get("/agreement/tables")
@needs("feedback")
async def agreement_tables(request: Request) -> HTMLResponse:
    """The tables of the agreement page. Raises NotFound without a feedback store, and StoreFailed."""
    report = await backend_of(request).feedback.agreement()
    shared = report["people"]["categories"]["relevance"]["responses"]
    annotations = sum(figures["annotations"] for figures in report["annotators"].values())
    content = _templates.get_template("agreement_tables.html").render(
        report=report, annotations=annotations, shared=shared, reasons=SKIP_REASONS | {OWN_WORDS: "in their own words"}
    )
    return HTMLResponse(content)


def _reference(api: dict[str, Any]) -> dict[str, Any]:
    """What the API reference shows."""
    return {"operations": operations(api), "objects": object_types(api)}


def _data(categories: Mapping[str, CategorySpec]) -> dict[str, Any]:
    """What every page's script knows from the start."""
    return {
        "categories": {
            name: {
                "density": spec.density,
                "labels": spec.labels,
                "description": spec.description,
                "needs": spec.needs,
            }
            for name, spec in categories.items()
        },
        "labels": _labels(),
        "examples": _examples(),
    }


def _labels() -> list[dict[str, Any]]:
    """Every annotation label, ordered by category, and how the annotation page offers it.

    `digit` is the key that gives the label. `missing` says whether it is given to a passage's sentence, which the
    response lacks, rather than to a part of the response. `needs_sources` says whether its explanation should name
    the sentences that contradict the response. `meaning` explains the label to annotators.
    """
    labels = [(name, label) for name, spec in ANNOTATED.items() for label in spec.labels]
    return [
        {
            "label": label,
            "category": name,
            "digit": str(digit),
            "missing": label in MISSING_LABELS,
            "needs_sources": label in NEEDS_SOURCES,
            "meaning": MEANINGS[label],
        }
        for digit, (name, label) in enumerate(labels, 1)
    ]


@cache
def _examples() -> list[dict[str, Any]]:
    """Questions with passages to try, from the shipped sample data."""
    return [
        {"question": example.question, "passages": [passage.model_dump() for passage in example.passages]}
        for example in load_examples(SAMPLE / "dev.json")[:8]
    ]
