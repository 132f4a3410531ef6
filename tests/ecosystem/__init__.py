"""Tools of others that notebooks and administrators use beside us, each for real."""
