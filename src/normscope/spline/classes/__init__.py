"""Classes inside a slice: which one wins where, and the exact boundary between them."""
