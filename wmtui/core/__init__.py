"""The pure heart: listings, groups, evidence, matching, decisions, sessions, plans and reports.

Nothing in here opens a file, prints, asks the time or imports torch or a terminal library.
"""
