"""Room nn."""
