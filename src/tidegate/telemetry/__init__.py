"""Subscribers of signals: metrics and log lines."""
