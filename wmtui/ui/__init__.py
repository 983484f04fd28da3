"""The screens; the only package that imports textual. It never touches a file."""
