"""Numbers as people read them: statistics, tables, LaTeX, pictures, the published numbers."""
