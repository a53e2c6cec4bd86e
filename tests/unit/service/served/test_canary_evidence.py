import httpx
import pytest

from rewards.errors import FgctlError
from service.metrics.metrics import Metrics
from service.served import canary_evidence as evidence
from service.served.canary_evidence import NoMetrics, fetch_metrics, read_evidence

ONE = """\
# HELP fg_canary_responses_total Scored responses while a canary runs.
# TYPE fg_canary_responses_total counter
fg_canary_responses_total{arm="canary",canary="aaa",profile="medium"} 40.0
fg_canary_responses_total{arm="incumbent",canary="aaa",profile="medium"} 400.0
fg_canary_responses_total{arm="canary",canary="old",profile="medium"} 7.0
fg_canary_responses_total{arm="canary",canary="aaa",profile="short"} 9.0
# TYPE fg_canary_responses_created gauge
fg_canary_responses_created{arm="canary",canary="aaa",profile="medium"} 1.7e+09
# TYPE fg_canary_error_probability_total counter
fg_canary_error_probability_total{arm="canary",canary="aaa",category="relevance",profile="medium"} 20.0
fg_canary_error_probability_total{arm="incumbent",canary="aaa",category="relevance",profile="medium"} 160.0
# TYPE fg_canary_error_probability_squares_total counter
fg_canary_error_probability_squares_total{arm="canary",canary="aaa",category="relevance",profile="medium"} 12.0
fg_canary_error_probability_squares_total{arm="incumbent",canary="aaa",category="relevance",profile="medium"} 80.0
# TYPE fg_requests_total counter
fg_requests_total{outcome="ok",policy="aaa",profile="medium"} 900.0
"""
NONE = '# TYPE fg_requests_total counter\nfg_requests_total{outcome="ok",policy="aaa",profile="medium"} 3.0\n'


def test_counters_of_the_canary_are_read_and_summed_over_services():
    counts = read_evidence({"a": ONE, "b": ONE.replace(" 40.0", " 60.0"), "c": NONE}, "medium", "aaa")
    assert (counts.canary.responses, counts.incumbent.responses) == (100, 800)
    assert counts.canary.mean("relevance") == pytest.approx(0.4)
    assert counts.incumbent.mean("relevance") == pytest.approx(0.4)
    assert counts.canary.categories["relevance"].squares == 24


def test_another_canary_and_another_profile_are_others():
    assert read_evidence({"a": ONE}, "medium", "old").canary.responses == 7
    assert read_evidence({"a": ONE}, "short", "aaa").canary.responses == 9
    nothing = read_evidence({"a": ONE}, "medium", "bbb")
    assert nothing.canary.responses == nothing.incumbent.responses == 0


@pytest.mark.parametrize(
    "text",
    [
        "<!doctype html><title>Hello {you}</title>",
        'fg_canary_responses_total{arm="canary"} 4\n',
        # A sum without its squares, and more than so many probabilities can sum to.
        ONE.replace("fg_canary_error_probability_squares_total", "other_total"),
        ONE.replace(" 160.0", " 401.0"),
    ],
)
def test_what_is_no_exposition_of_ours_is_told(text):
    with pytest.raises(
        NoMetrics, match=r"The metrics of http://x are not those of an fgctl service .*; check --service\."
    ):
        read_evidence({"http://x": text}, "medium", "aaa")


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "key with the scope metrics"), (403, "key with the scope metrics"), (404, "answered with status 404")],
)
def test_a_refusal_is_told(monkeypatch, status, message):
    monkeypatch.setattr(httpx, "get", lambda url, **_: httpx.Response(status, text="no"))
    with pytest.raises(NoMetrics, match=message):
        fetch_metrics("http://x/")


def test_the_key_is_sent_and_the_plain_format_asked_for(monkeypatch):
    sent = {}
    monkeypatch.setattr(
        httpx, "get", lambda url, **arguments: sent.update(arguments, url=url) or httpx.Response(200, text=ONE)
    )
    assert fetch_metrics("http://x/", "fg_secret") == ONE
    assert sent["url"] == "http://x/metrics"
    assert sent["headers"] == {"accept": "text/plain", "authorization": "Bearer fg_secret"}


def test_a_service_that_is_not_there_is_told():
    with pytest.raises(FgctlError, match=r"No service answers at http://127\.0\.0\.1:9 "):
        fetch_metrics("http://127.0.0.1:9")
    with pytest.raises(FgctlError, match="No service answers at nonsense "):
        fetch_metrics("nonsense")


def test_the_counters_are_named_as_the_service_names_them():
    text = Metrics().exposition()[0].decode()
    assert all(f"# HELP {name} " in text for name in evidence.COUNTERS)
