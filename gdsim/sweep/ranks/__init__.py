"""What a result's cells are compared by: when runs met a target, ranks, tables, and the words in them."""
