"""Measurements: quality on real pairs of implementations, the share of each kind of evidence, scale, and peers.

``pairs`` holds the pairs that the engine was developed on, ``held`` pairs of other families and naming styles. Both
are plain facts about public implementations: keys, shapes and which is which (see :mod:`benchmarks.cases`).
"""
