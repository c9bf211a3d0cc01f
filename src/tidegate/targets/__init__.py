"""Target adapters: Port and the embedded catalog."""
