"""The review's screen, its panes and the windows that it opens."""
