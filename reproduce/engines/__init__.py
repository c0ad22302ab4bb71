"""What starts runs and watches them: this machine, or a Ray cluster."""
