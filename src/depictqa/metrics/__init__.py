"""Figures of merit; each module is one family and is imported by its own name."""
