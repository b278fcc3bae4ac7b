"""The objective of a table: how its rows are read, their coordinates and sums, and its bounds."""
