"""Benchmarks: ratios, taken side by side in one run, each from several repeats. `make bench` runs them all.

A time alone says little on a shared machine; a ratio to the same work done barely, in the same minutes, says what our
layers cost. Each file does one job and yields JSON-ready rows; `__main__` runs them and draws the table.
"""
