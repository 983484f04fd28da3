"""Bytes and formats: reading listings, renaming checkpoints, journals; the only package that opens files."""
