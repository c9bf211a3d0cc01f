"""The presets: one module for each way of signing."""
