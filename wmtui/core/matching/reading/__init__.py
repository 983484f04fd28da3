"""A listing read as a tree of modules: naming styles, segments, units, words and phrases."""
