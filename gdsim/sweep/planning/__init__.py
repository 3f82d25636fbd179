"""What would run: chunks, the memory that they need, which of them a folder lacks, and whether it may take them."""
