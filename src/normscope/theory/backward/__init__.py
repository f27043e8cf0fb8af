"""Gradients on their way back through layers of infinite width."""
