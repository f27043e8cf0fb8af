"""Figures and animations of partitions; needs the extra `plot`."""
