import re

import pytest
import yaml

from deploy.monitoring.generated_files import rule_files
from deploy.monitoring.lookback_windows import WINDOWS, Timing, format_duration

NAMES = re.compile(r"(?:record|alert): (\S+)")
DURATIONS = re.compile(r"(?<=\[)[0-9hms]+(?=\])|(?<=interval: )[0-9hms]+|(?<=for: )[0-9hms]+")


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (2.5, "2s500ms"),
        (15, "15s"),
        (90, "1m30s"),
        (300, "5m"),
        (3600, "1h"),
        (21600, "6h"),
    ],
)
def test_durations_are_written_as_prometheus_reads_them(seconds, written):
    assert format_duration(seconds) == written


def test_windows_are_named_after_their_durations():
    assert all(format_duration(window.seconds) == window.name for window in WINDOWS)


def test_a_scale_shortens_time_and_leaves_a_window_four_scrapes():
    timing = Timing(scale=1 / 120, scrape=1)
    assert timing.window(3600) == "30s"
    assert timing.window(300) == "4s"  # 2.5 s would hold two scrapes or three
    assert timing.duration(600) == "5s"
    assert timing.duration(60) == "1s"
    assert timing.duration(0) == "0s"
    assert timing.seconds(600) == 5


def test_counts_have_a_scale_of_their_own():
    assert Timing(scale=1 / 120).count(294) == 294
    assert Timing(counts=0.1).count(294) == 30


@pytest.mark.parametrize("name", ["rules.yml", "alerts.yml"])
def test_scaled_rules_have_the_same_names_and_other_durations(name):
    real, scaled = rule_files()[name], rule_files(Timing(scale=1 / 120, counts=0.1, scrape=1))[name]
    assert NAMES.findall(real) == NAMES.findall(scaled)
    assert "fg:error_ratio_estimated:1h" in scaled
    pairs = list(zip(DURATIONS.findall(real), DURATIONS.findall(scaled), strict=True))
    assert len(pairs) > 20
    assert all(_seconds(long) > _seconds(short) for long, short in pairs)


@pytest.mark.parametrize("name", ["rules.yml", "alerts.yml"])
def test_a_scale_changes_only_durations_and_counts(name):
    real, scaled = (_without_times(rule_files(timing)[name]) for timing in (Timing(), Timing(1 / 120, 0.1, 1)))
    assert real == scaled


def _without_times(text):
    """Every rule's name and expression, without what a scale may change."""
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    exprs = [(rule.get("record") or rule["alert"], DURATIONS.sub("TIME", rule["expr"])) for rule in rules]
    counts = re.compile(r">= \d+$|>= \d+(?=\))", re.MULTILINE)
    exprs = [(name, counts.sub(">= COUNT", expr)) for name, expr in exprs if not name.startswith("fg:burn_minimum")]
    compared = r"(?<=_timestamp_seconds\) > )\d+|(?<=process_start_time_seconds < )\d+"
    return [(name, re.sub(compared, "TIME", expr)) for name, expr in exprs]


def _seconds(text):
    units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)(ms|h|m|s)", text))
