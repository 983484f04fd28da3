from wmtui.core.printable import plural


def test_counts_agree_with_what_they_count():
    assert [plural(n, "tensor") for n in (0, 1, 94_000)] == ["0 tensors", "1 tensor", "94,000 tensors"]
    assert [plural(n, "dictionary is", "dictionaries are") for n in (1, 2)] == ["1 dictionary is", "2 dictionaries are"]
