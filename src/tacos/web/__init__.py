"""The local page: what `tacos ui` serves. A peer of `cli`, it calls workflows only."""
