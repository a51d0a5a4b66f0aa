"""One metric signal a file; ``registry`` finds them."""
