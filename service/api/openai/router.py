"""All routes of OpenAI's interface, under /v1."""

from fastapi import APIRouter, Depends

from service.api.common.query import no_policy
from service.api.openai.chat.router import router as chat
from service.api.openai.completions.router import router as completions
from service.api.openai.models.router import router as models
from service.api.openai.responses.kept_router import router as kept_responses
from service.api.openai.responses.router import router as responses

router = APIRouter(prefix="/v1", dependencies=[Depends(no_policy)])
for _endpoint in (models, completions, chat, responses, kept_responses):
    router.include_router(_endpoint)
