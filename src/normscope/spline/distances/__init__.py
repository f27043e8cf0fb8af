"""Distances of points to folds, units that cross a ball, total least squares, bounds of margins."""
