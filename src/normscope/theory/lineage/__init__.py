"""The papers before and around batch normalization decomposed, one file each."""
