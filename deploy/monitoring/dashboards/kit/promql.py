"""PromQL that several panels share. Selectors use the dashboards' variables, and every one names the service."""

SERVICE = 'namespace="$namespace", job="$job"'
"""One service. A Prometheus may scrape others, which may export metrics of the same names."""
PROFILE = f'{SERVICE}, profile=~"$profile"'
VERSION = f'{PROFILE}, policy=~"$policy"'
CANARY = f'{PROFILE}, canary=~"$policy"'
"""In the metrics of canaries, the label of the version is `canary`."""


def rate(metric: str, by: str = "", where: str = VERSION) -> str:
    """A counter's increase per second, for frequent events."""
    return _sum(f"rate({_selected(metric, where)}[$__rate_interval])", by)


def hourly(metric: str, by: str = "", where: str = VERSION) -> str:
    """A counter's increase over the last hour, for events too rare for a steady rate."""
    return _sum(f"increase({_selected(metric, where)}[1h])", by)


def in_range(metric: str, by: str = "", where: str = VERSION) -> str:
    """A counter's increase over the dashboard's time range."""
    return _sum(f"increase({_selected(metric, where)}[$__range])", by)


def share(part: str, whole: str) -> str:
    """A sum divided by another with the same labels; NaN where the second is zero."""
    return f"{part} / {whole}"


def quantile(q: float, histogram: str, by: str = "", where: str = PROFILE, window: str = "$__rate_interval") -> str:
    """A quantile of a histogram over all replicas; NaN without observations."""
    buckets = _selected(f"{histogram}_bucket", where)
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({buckets}[{window}])))"


def mean(histogram: str, by: str, where: str = VERSION) -> str:
    """The mean of a histogram's observations over the last hour."""
    return share(hourly(f"{histogram}_sum", by, where), hourly(f"{histogram}_count", by, where))


def latest(gauge: str, by: str, where: str = VERSION) -> str:
    """A gauge that has the same value on every replica."""
    return f"max by ({by}) ({_selected(gauge, where)})"


def _sum(vector: str, by: str) -> str:
    return f"sum by ({by}) ({vector})" if by else f"sum({vector})"


def _selected(metric: str, where: str) -> str:
    return f"{metric}{{{where}}}"
