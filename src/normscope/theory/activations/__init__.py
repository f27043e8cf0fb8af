"""Non-linearities and the expectations that Gaussian layers need of them."""
