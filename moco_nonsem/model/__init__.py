"""The networks and equations of MoCo with non-semantic negatives."""
