"""One HTML page with every table, curve and origin of a number."""
