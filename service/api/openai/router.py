"""All routes of OpenAI's interface, under /v1."""

from fastapi import APIRouter, Depends

from service.api.common.query import no_policy
from service.api.openai.chat.router import router as chat
from service.api.openai.completions.router import router as completions
from service.api.openai.models.router import router as models

router = APIRouter(prefix="/v1", dependencies=[Depends(no_policy)])
for _endpoint in (models, completions, chat):
    router.include_router(_endpoint)
