"""The fast and robust bootstrap of fits of smooth losses and of trimmed squares."""
