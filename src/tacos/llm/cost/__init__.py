"""What models cost: the price table, the hard cap on spending, and a forecast from a pilot."""
