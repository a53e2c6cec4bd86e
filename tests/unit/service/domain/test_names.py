import pytest

from service.domain.names import name_problem


@pytest.mark.parametrize("name", ["Ada", "answers app", "Zoë", "Ада", "Ἀδα", "أمينة", "愛", "ada-2", "key 7 (batch)"])
def test_plain_names_in_any_script(name):
    assert name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (" Ada", "begins or ends with a space"),
        ("Ada\u00a0", "begins or ends with a space"),
        ("A\u200bda", "cannot be seen"),
        ("Ada\u202e", "cannot be seen"),
        ("Ａda", "looks like 'A'"),
        ("Аda", "mixes letters of Cyrillic and Latin"),
        ("Adα", "mixes letters of Greek and Latin"),
    ],
)
def test_names_that_look_like_others(name, problem):
    assert problem in name_problem(name)
