project = "kadnet"
author = "the kadnet authors"
copyright = "2026, the kadnet authors"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3  # a page may link to another's headings

html_theme = "furo"
html_title = "kadnet"
html_copy_source = False
