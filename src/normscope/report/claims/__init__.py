"""Verdicts: as text for the terminal, as a section of a page."""
