"""Benchmarks, one file each; every number in the docs comes from one of them."""
