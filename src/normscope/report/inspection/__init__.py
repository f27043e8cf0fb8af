"""One model of the user's, watched: settings in, a table for the terminal and a page out."""
