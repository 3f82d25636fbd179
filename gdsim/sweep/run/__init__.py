"""`Sweep.run`: what is missing is trained, on threads of this process or on a cluster, and everything there is comes back as a Dataset."""
