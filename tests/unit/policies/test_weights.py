import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policies.weights import Weights
from rewards.categories import BUILT_IN
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


def test_named_weights_are_for_any_category_in_use():
    weights = Weights.parse("politeness = 1, relevance=3", [*BUILT_IN, "politeness"])
    assert weights.as_dict() == {"relevance": 0.75, "factuality": 0, "completeness": 0, "politeness": 0.25}
    assert weights["politeness"] == 0.25
    assert Weights.parse("relevance=1")["politeness"] == 0


@given(st.dictionaries(st.sampled_from([*BUILT_IN, "politeness", "tone"]), st.integers(0, 1000), min_size=1))
def test_what_weights_print_is_what_they_parse(amounts):
    if not any(amounts.values()):
        return
    weights = Weights(amounts)
    known = [*BUILT_IN, "politeness", "tone"]
    for text in (str(weights), ",".join(f"{name}={value!r}" for name, value in weights.as_dict().items())):
        parsed = Weights.parse(text, known)
        assert all(math.isclose(parsed[name], weights[name], abs_tol=0.01) for name in known)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("politeness=1", "name 'politeness', which is not a category in use"),
        ("politeness=1", "some of relevance, factuality and completeness"),
        ("relevance=1,relevance=2", "name a category twice"),
        ("relevance=1,0.5", "name '', which is not a category"),
        ("relevance=", "are not numbers"),
        ("relevance=-1,factuality=2", "must not be negative"),
        ("relevance=0", "all zero"),
    ],
)
def test_wrong_names_are_refused_with_the_valid_ones(text, message):
    with pytest.raises(FgctlError) as error:
        Weights.parse(text)
    assert message in str(error.value)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "a,b,c", "0,0,0", "-1,1,1", "nan,1,1", "inf,1,1", "1e400,1,1"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(FgctlError, match=r"0\.3,0\.5,0\.2"):
        Weights.parse(text)


def test_stored_weights_may_lack_categories_and_have_others():
    weights = Weights.model_validate_json('{"politeness": 1, "factuality": 1}')
    assert weights.as_dict() == {"relevance": 0, "factuality": 0.5, "completeness": 0, "politeness": 0.5}
    assert Weights.model_validate_json(weights.model_dump_json()) == weights
    assert list(json.loads(Weights.parse("1,1,2").model_dump_json())) == list(BUILT_IN)


def test_weights_in_a_file_are_checked_too():
    with pytest.raises(ValidationError):
        Weights(relevance=-1, factuality=1, completeness=1)
    with pytest.raises(ValidationError):
        Weights.model_validate({"relevance": None})
    with pytest.raises(ValidationError):
        Weights.model_validate({})
    assert Weights.model_validate_json(Weights.parse("1,2,3").model_dump_json()) == Weights.parse("1,2,3")
