"""The digest of an adapter's content, which names its version."""

import hashlib
import json
from pathlib import Path

from policies.adapters.configuration import ADAPTER_CONFIG, BASE_LOADED_FROM
from policies.adapters.lora import ADAPTER
from rewards.dataset import file_digest


def digest_of(adapter: Path) -> str | None:
    """The SHA-256 of an adapter directory's content, in hexadecimal digits; None when a file is missing.

    Where its base is loaded from does not count: that differs between machines, and the manifest names the base.
    """
    try:
        config = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        if BASE_LOADED_FROM in config:
            config[BASE_LOADED_FROM] = None
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
        digest.update(file_digest(adapter / ADAPTER).encode())
    except (OSError, ValueError, TypeError):
        return None
    return digest.hexdigest()
