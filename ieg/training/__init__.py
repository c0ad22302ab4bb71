"""The loop: steps, moving averages, evaluation, what is logged."""
