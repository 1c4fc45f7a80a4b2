"""The command line: what a person types, and what they see.

Each command is a function in a file of its group, loaded when it is typed: help and short commands import neither
trio nor the node. A command prints what a shape says, or the shape itself as JSON; it decides nothing.
"""
