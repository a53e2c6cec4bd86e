"""Errors that the user can fix."""

import pickle

import pytest

from policies.store.objects import Changed, StoreAway
from rewards.errors import FgctlError
from service.errors import BadRequest


@pytest.mark.parametrize(
    "error", [FgctlError("Do this."), StoreAway("s3://b", "no answer"), Changed("s3://b", "k"), BadRequest("No.", "n")]
)
def test_an_error_reaches_another_process_as_it_is(error):
    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 - as torch's and Ray's processes exchange errors
    assert type(arrived) is type(error)
    assert (str(arrived), arrived.__dict__) == (str(error), error.__dict__)
