"""Select rows of an annotated pool without further questions to a model: a module per strategy."""
