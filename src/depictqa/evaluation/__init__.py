"""Benchmarks, the results they leave behind and the figures made from those results alone."""
