"""Questions of a command line about all of this, and their answers as text, LaTeX, JSON and figures."""
