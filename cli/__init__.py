"""The `fgctl` command line."""
