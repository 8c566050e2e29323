"""How `cargo xtask book` makes a book of the pages of this project. Its sources begin at the root of the project."""

project = "healthboard"
copyright = "2026, the authors of healthboard"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "deploy/*/README.md"]
exclude_patterns = [".git", ".github", "bench", "crates", "e2e", "examples", "fuzz", "python", "target", "torture", "xtask"]
html_theme = "furo"
html_title = "healthboard"
html_copy_source = False
html_show_sphinx = False
# Links to headings are those of GitHub.
myst_heading_anchors = 3
