"""Log lines as JSON for machines or text for people, each with the id of its request.

Two formatters on the standard library's logging, which every dependency logs to, so no logging package is needed.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from service.edge.request_context import current
from service.settings import Settings

FIELDS = "fields"
"""The attribute of a log record that holds the fields of its line: `logger.info("…", extra={FIELDS: {…}})`."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, `request_id` within a request, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return json.dumps(_line(self, record), ensure_ascii=True, default=str)


class TextFormatter(logging.Formatter):
    """The same as text: time, level, message, then `name=value` for each field."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback if there is one."""
        line = _line(self, record)
        time, level = line.pop("time")[11:23], line.pop("level")
        message, trace = line.pop("message"), line.pop("exception", None)
        line.pop("logger")
        fields = " ".join(f"{name}={_plain(value)}" for name, value in line.items() if value is not None)
        parts = (f"{time} {level:<7} {_escaped(message)}  {fields}".rstrip(), *filter(None, [trace]))
        return "\n".join(parts)


def _line(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, Any]:
    context = current()
    line = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    if context is not None:
        line["request_id"] = context.id
    line |= getattr(record, FIELDS, {})
    if record.exc_info:
        line["exception"] = formatter.formatException(record.exc_info)
    return line


def _plain(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return _escaped(text) if text and " " not in text else json.dumps(text)


def _escaped(text: str) -> str:
    """The text without line breaks and control characters, with which a client could forge log lines."""
    return text if text.isprintable() else json.dumps(text)[1:-1]


def configure(settings: Settings) -> None:
    """Send all log lines of this process to standard error, in the format that the settings choose."""
    log_format = settings.log_format or ("text" if sys.stderr.isatty() else "json")
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # logs every URL it fetches at level info
