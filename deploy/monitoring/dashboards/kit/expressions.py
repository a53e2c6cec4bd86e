"""PromQL that several panels share. Selectors read the dashboards' variables."""

PROFILE = 'profile=~"$profile"'
VERSION = f'{PROFILE}, policy=~"$policy"'
CANARY = f'{PROFILE}, canary=~"$policy"'
"""The metrics of a canary name its version `canary`."""


def rate(metric: str, by: str = "", where: str = VERSION) -> str:
    """A counter's increase per second, for what changes from minute to minute."""
    return _sum(f"rate({_selected(metric, where)}[$__rate_interval])", by)


def hourly(metric: str, by: str = "", where: str = VERSION) -> str:
    """A counter's increase over the last hour, for what is too rare for a rate to be steady."""
    return _sum(f"increase({_selected(metric, where)}[1h])", by)


def in_range(metric: str, by: str = "", where: str = VERSION) -> str:
    """A counter's increase over the dashboard's time range."""
    return _sum(f"increase({_selected(metric, where)}[$__range])", by)


def share(part: str, whole: str) -> str:
    """One sum over another with the same labels; NaN where there is nothing to have a share of."""
    return f"{part} / {whole}"


def quantile(q: float, histogram: str, by: str = "", where: str = PROFILE, window: str = "$__rate_interval") -> str:
    """A quantile of a histogram over the replicas; NaN where nothing was observed."""
    buckets = _selected(f"{histogram}_bucket", where)
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({buckets}[{window}])))"


def mean(histogram: str, by: str, where: str = VERSION) -> str:
    """The mean of a histogram's observations over the last hour."""
    return share(hourly(f"{histogram}_sum", by, where), hourly(f"{histogram}_count", by, where))


def latest(gauge: str, by: str, where: str = VERSION) -> str:
    """A gauge that every replica reports alike."""
    return f"max by ({by}) ({_selected(gauge, where)})"


def _sum(vector: str, by: str) -> str:
    return f"sum by ({by}) ({vector})" if by else f"sum({vector})"


def _selected(metric: str, where: str) -> str:
    return f"{metric}{{{where}}}" if where else metric
