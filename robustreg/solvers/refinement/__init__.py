"""Fits that were not certified, made anew in twice the working precision."""
