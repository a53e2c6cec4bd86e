import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policies.weights import Weights
from rewards.errors import FgctlError

AMOUNT = st.floats(0, 1e6)


def test_weights_are_named_by_position_and_normalised():
    assert Weights.parse("0.4,0.5,0.3").as_dict() == pytest.approx(
        {"relevance": 1 / 3, "factuality": 5 / 12, "completeness": 1 / 4}
    )
    assert Weights.parse("0.2, 0.5, 0.3")["relevance"] == pytest.approx(0.2)


@given(AMOUNT, AMOUNT, AMOUNT)
def test_any_three_amounts_sum_to_one_in_the_same_proportion(a, b, c):
    if a + b + c < 1e-9:
        return
    weights = Weights.parse(f"{a!r},{b!r},{c!r}")
    assert math.isclose(sum(weights.as_dict().values()), 1, rel_tol=1e-9)
    assert math.isclose(weights["relevance"] * (a + b + c), a, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "a,b,c", "0,0,0", "-1,1,1", "nan,1,1", "inf,1,1", "1e400,1,1"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(FgctlError, match=r"0\.3,0\.5,0\.2"):
        Weights.parse(text)


def test_weights_in_a_file_are_checked_too():
    with pytest.raises(ValidationError):
        Weights(relevance=-1, factuality=1, completeness=1)
    assert Weights.model_validate_json(Weights.parse("1,2,3").model_dump_json()) == Weights.parse("1,2,3")
