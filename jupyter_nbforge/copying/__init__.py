"""Copies of whole trees between two storages; knows nothing of Jupyter or of a terminal."""
