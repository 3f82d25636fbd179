"""What people read of a result: on the terminal, and later as a page."""
