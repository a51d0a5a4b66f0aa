"""One signal of mirrored requests a file; ``registry`` finds them."""
