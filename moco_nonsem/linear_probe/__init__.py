"""Linear evaluation: `main_lincls.py`."""
