"""The quick-starts of other libraries, unchanged but for the base URL and the model, against the served program.

They have packages of their own, so this runs only after `make clients` has installed them, or if FGCTL_CLIENTS is the
path of a Python that has them.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
INSTALLED = ROOT / ".servers/clients/bin/python"
EXAMPLES = sorted((ROOT / "tests/servers/clients").glob("*.py"))


@pytest.fixture(scope="session")
def python():
    """The path of a Python that has the clients. Of the session, so that a skip comes before the service is started."""
    path = Path(os.environ.get("FGCTL_CLIENTS") or INSTALLED)
    if not path.is_file():
        pytest.skip("the clients are not installed; `make clients` installs them for this test")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_librarys_own_example_runs(server, python, example, tmp_path):
    environment = {
        "OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "none", "HOME": str(tmp_path),
        "PATH": os.environ["PATH"], "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }  # fmt: skip
    done = subprocess.run(
        [python, example], env=environment, capture_output=True, text=True, check=False, timeout=500, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-4000:]
    texts = json.loads(done.stdout.splitlines()[-1])
    assert len(texts) >= 3
    assert all(text.strip() for text in texts)
