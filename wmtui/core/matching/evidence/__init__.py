"""Which tensor is which inside a pair of modules: what speaks for each pair, and how sure that makes it."""
