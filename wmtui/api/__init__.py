"""The documented classes, built on core and files."""
