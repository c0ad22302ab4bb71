"""What only PyTorch's programs import: groups of processes, the loop over steps, files of torch."""
