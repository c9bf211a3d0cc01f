"""The outgoing HTTP client: pooled, retried, polite."""
