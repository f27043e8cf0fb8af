"""The engine: a window cut by all units of a fold after the other, and the partition that comes out."""
