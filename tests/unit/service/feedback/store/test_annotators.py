"""Names of annotators."""

import pytest

from service.domain.caller import ANONYMOUS
from service.errors import InvalidRequest

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", ["Аda", "A\u00addа"])
async def test_a_name_that_looks_like_another_is_not_taken(store, name):
    await store.sign_in("Ada", ANONYMOUS)
    with pytest.raises(InvalidRequest, match=r"looks like|look alike|cannot be seen"):
        await store.sign_in(name, ANONYMOUS)
    await store.sign_in("Ada", ANONYMOUS)
