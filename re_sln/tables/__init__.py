"""Tables from logs that others published."""
