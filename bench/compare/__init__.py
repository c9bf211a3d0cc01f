"""Tidegate beside what it is compared with, in one run: same third party, same Port, same events."""
