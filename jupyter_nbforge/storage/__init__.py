"""Object storage behind one interface; knows nothing of Jupyter."""
