"""Writes every generated file, or with --check says which one differs."""

import argparse
import sys

from deploy.monitoring.generated_files import ROOT, generated


def main() -> int:
    """The exit status: 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m deploy.monitoring", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    check = parser.parse_args().check
    differing = 0
    for path, text in generated().items():
        file = ROOT / path
        if file.exists() and file.read_text(encoding="utf-8") == text:
            continue
        differing += 1
        if check:
            print(f"{path} is not what deploy/monitoring makes; run `make monitoring`.")
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            print(f"Wrote {path}")
    return 1 if check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
