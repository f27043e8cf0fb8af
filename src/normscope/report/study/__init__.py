"""The main job: networks with and without the parts of batch norm, side by side on one page."""
