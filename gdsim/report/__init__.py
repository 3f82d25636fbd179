"""What people read of a result: progress and a table on the terminal, and a results folder as a page."""
