"""Which module is which: families of numbered blocks, modules known by what they hold, order and direction."""
