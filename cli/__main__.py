"""`python -m cli` runs fgctl where the console script is not on the path."""

from cli.main import main

main()
