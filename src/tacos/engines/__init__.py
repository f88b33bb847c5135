"""Where work runs: see `tacos.engines.base`."""
