"""Fuzzing guided by coverage: bytes into the ingress and into the mapping compiler, for as long as one likes."""
