"""Looking into one file, or into two of them side by side."""
