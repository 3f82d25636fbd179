"""What would run: chunks, the memory that they need, their parts, and whether runs may have more steps."""
