"""Teams: runs of which each is one model trained by several workers, simulated.

A team's workers are replicas of its run's model, part of the run's state: memory of theirs is [worker, place,
lane], and lanes are runs here as everywhere. Between two exchanges workers know nothing of each other, so that
the kernel `team.advance` lets each make all of these steps in turn, by the kernel of the rule and the problem
that trains plain runs too; then it lets the lanes that are due exchange. How, and when, says the team's kind:

    steps_to_exchange(h, step)     how many steps from a run's `step` to its next exchange
    begin_team(team, pack, fresh)  what a run's start makes of workers and server
    exchange(team, pack, due)      what the workers of the lanes that are due tell each other
    report_team(team, pack, places, noted)  the reported parameters, and what is recorded of the team

What kinds have in common is in `workers`. A team's memory is laid out in `kernels.team_memory`, which jobs
know, and a structure's kernels are compiled by `kernels.team_kernels`, which stands above these.

Functions take a team field by field (`lanes.memory.view`). A worker that diverges is noticed at the next
exchange or event of its run, whatever runs lie beside it.
"""
