"""Takes webhooks in: limits, parsing, the durable commit, the answer."""
