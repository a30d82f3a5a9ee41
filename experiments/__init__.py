"""The programs: each file is `run(cfg) -> dict of metrics`. Only these and run.py see a configuration."""
