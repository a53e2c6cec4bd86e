"""The pages and their assets. They hold nothing that needs a key; their scripts send one with what they ask for."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

from rewards.categories import BUILT_IN, CategorySpec
from rewards.dataset import SAMPLE, load_examples
from service.backend import backend_of
from service.edge.route_scope import needs
from service.feedback.runtime import STORELESS

router = APIRouter(include_in_schema=False)

PAGES = {"/": "playground", "/annotate": "annotate", "/compare": "compare", "/agreement": "agreement"}
"""Template of each page."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the pages: nothing inline, nothing from elsewhere."""

_templates = Environment(
    loader=PackageLoader("service.pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


class Assets(StaticFiles):
    """Scripts and styles, which browsers keep but ask for again, so that a new version is seen at once."""

    def file_response(self, *arguments: Any, **named: Any) -> Response:
        """The file, or 304 where the browser has it."""
        response = super().file_response(*arguments, **named)
        response.headers["cache-control"] = "no-cache"
        return response


assets = needs(None)(Assets(packages=[("service.pages", "static")]))


def _page(template: str) -> Callable[[Request], Awaitable[HTMLResponse]]:
    @needs(None)
    async def page(request: Request) -> HTMLResponse:
        backend = backend_of(request)
        feedback = backend.settings.feedback_store is not None
        content = _templates.get_template(f"{template}.html").render(
            page=template,
            data=_data(backend.categories),
            feedback=feedback,
            storeless=STORELESS if template != "playground" and not feedback else None,
        )
        return HTMLResponse(content, headers={"content-security-policy": POLICY})

    return page


for _path, _template in PAGES.items():
    router.add_api_route(_path, _page(_template), methods=["GET"], name=_template)


@router.get("/agreement/tables")
@needs("feedback")
async def agreement_tables(request: Request) -> HTMLResponse:
    """The tables of the agreement page. Raises NotFound without a feedback store, and StoreFailed."""
    report = await backend_of(request).feedback.agreement()
    shared = report["people"]["categories"]["relevance"]["responses"]
    annotations = sum(one["annotations"] for one in report["annotators"].values())
    content = _templates.get_template("agreement_tables.html").render(
        report=report, annotations=annotations, shared=shared
    )
    return HTMLResponse(content)


def _data(categories: Mapping[str, CategorySpec]) -> dict[str, Any]:
    """What the scripts of all pages know from the start."""
    return {
        "categories": {
            name: {"density": spec.density, "labels": spec.labels, "description": spec.description}
            for name, spec in categories.items()
        },
        "labels": _labels(),
        "examples": _examples(),
    }


def _labels() -> list[dict[str, str]]:
    """Every annotation label with its category and the digit that picks it, by category."""
    named = [(name, label) for name, spec in BUILT_IN.items() for label in spec.labels]
    return [{"label": label, "category": name, "digit": str(i)} for i, (name, label) in enumerate(named, 1)]


@cache
def _examples() -> list[dict[str, Any]]:
    """Questions with passages to try, of the made-up data that is shipped."""
    return [
        {"question": example.question, "passages": [passage.model_dump() for passage in example.passages]}
        for example in load_examples(SAMPLE / "dev.json")[:8]
    ]
