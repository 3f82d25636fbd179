"""`Sweep.run`: what is missing is trained, on threads or on a cluster, and all there is comes back as a
Dataset.

options    how it is trained: what was chosen, checked
placing    where it is trained
inmemory   runs that are kept nowhere
infolder   what a folder lacks
entry      which of the two it is
"""
