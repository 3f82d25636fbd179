"""How chunks are trained on threads of this process, watched and told of."""
