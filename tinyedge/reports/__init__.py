"""Reports of an evaluation: one record, several forms."""
