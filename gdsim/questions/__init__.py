"""Questions whose answers are made item by item: at once in memory, or piece by piece in a folder, on threads or
on a cluster, resumed after whatever ended it.

question   what is asked: a call, its arguments, problems and arrays, and how many items there are
pieces     ranges of items, and what was found of all of them
files      the files that hold pieces
folder     a folder of one question: what it says, what it may take, what it lacks
here       pieces made by this process
infolder   what a folder lacks, made into it
following  of which sweep an answer is that follows one
asking     `ask`: in memory, or into a folder; a call that is checked alone
points     functions of points, run by run, as calls
opening    the Dataset of a folder, also of one that is not finished
survey     how far a folder is, and whether every byte is right
cluster    pieces made by the workers of a Dask cluster
"""

from gdsim.questions.asking import ask, check_alone, end_of_checks
from gdsim.questions.question import Call, Question

__all__ = ["Call", "Question", "ask", "check_alone", "end_of_checks"]
