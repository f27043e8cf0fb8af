"""What exists and attracts as the batch size or the slope changes, and how often it is reached."""
