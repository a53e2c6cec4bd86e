"""Write every generated file; with --check, only name those that differ."""

import argparse
import sys

from deploy.monitoring.generated_files import ROOT, generated_files


def main() -> int:
    """Return the exit status: 1 if --check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m deploy.monitoring", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file differs")
    check = parser.parse_args().check
    differing = 0
    for path, text in generated_files().items():
        file = ROOT / path
        if file.exists() and file.read_text(encoding="utf-8") == text:
            continue
        differing += 1
        if check:
            print(f"{path} differs from what deploy/monitoring generates; run `make monitoring`.")
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            print(f"Wrote {path}")
    return 1 if check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
