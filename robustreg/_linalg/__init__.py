"""Small dense algebra: factors that always come to an end, and twice the working precision."""
