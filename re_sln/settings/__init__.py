"""From flags to a resolved run."""
