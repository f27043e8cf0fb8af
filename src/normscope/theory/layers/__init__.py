"""One layer of infinite width, as a map of Gram matrices."""
