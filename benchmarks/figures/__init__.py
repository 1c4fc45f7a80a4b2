"""`make figures`: every figure that the overlay's lookups were promised to reach, beside its goal and its controls.

`sheet` says what the figures are, `plan` which scripts measure them, `crew` runs those and shows how far they are,
`results` makes medians and verdicts of their lines, `document`, `console` and `chart` show them. One script for each
kind of measurement, each of which prints JSON lines and can be run alone.
"""
