"""Bands for new rows, from how far fits are off rows that they have not seen."""
