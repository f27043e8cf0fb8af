"""Configurations of groups of exchangeable points: the layer on them, its fixed points and their spectra."""
