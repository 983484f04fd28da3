"""The command line: composes files, core and ui; the only package that knows all of them."""
