"""A model read into affine stretches and folds: what can be run, stepped and differentiated."""
