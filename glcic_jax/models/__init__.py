"""The networks: pure Flax modules, and the folder in which a trained one travels."""
