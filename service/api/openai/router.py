"""All routes of OpenAI's interface, under /v1."""

from fastapi import APIRouter

from service.api.openai.chat.router import router as chat
from service.api.openai.completions.router import router as completions
from service.api.openai.models.router import router as models

router = APIRouter(prefix="/v1")
for _endpoint in (models, completions, chat):
    router.include_router(_endpoint)
