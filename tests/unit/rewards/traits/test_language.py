import subprocess
import sys

import pytest

from rewards.dataset import SAMPLE, data_file, load_examples
from rewards.traits.language import language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Where does the river rise?", "en"),
        ("WHO WON THE WORLD CUP?", "en"),
        ("who is the president", "en"),
        ("Wann wurde der Eiffelturm gebaut?", "other"),
        ("Qui a gagné la bataille de Waterloo ?", "other"),
        ("¿Cuándo se construyó la torre Eiffel?", "other"),
        ("Кто выиграл битву при Ватерлоо?", "other"),
        ("谁赢得了滑铁卢战役？", "other"),
        ("", "unknown"),
        ("Who?", "unknown"),
        ("12345 67", "unknown"),
        ("x = y**2; return x", "unknown"),
    ],
)
def test_languages(text, expected):
    assert language(text) == expected


def test_real_questions_in_english_are():
    if data_file("train").is_relative_to(SAMPLE):
        pytest.skip("Needs QA-Feedback, since the sample has no real questions; set FGCTL_DATA.")
    languages = [language(e.question) for name in ("train", "dev") for e in load_examples(data_file(name))]
    assert languages.count("en") >= 0.98 * len(languages)
    assert languages.count("other") <= 0.005 * len(languages)


def test_the_identifier_is_loaded_when_it_is_first_needed():
    code = "import sys, rewards.traits.response_traits; print('py3langid' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
