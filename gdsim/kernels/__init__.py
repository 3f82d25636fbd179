"""Kernels: what trains and evaluates a population, and the driver that compiles it and lays out its memory.

**A pack** is WIDTH runs side by side, a run in each lane: arrays have the lane as their last index. **A job**
(`job.Job`) is a pack and all that its kernels read and write: the tables of the job's runs
(`state.Runs`), which run each lane holds (`LaneTable`), what they have in common (`JobSpec`), snapshots and
scores, and a thread's working memory (`workspace`). Kernels take the address of its table.

**Six kernels train**: `training.train`, one for all problems and rules, is the loop of events; it calls, by
their addresses, `advance`, which makes steps of all lanes until an event is due or a lane is flagged,
`evaluation.evaluate`, and, where reported parameters are not the stored ones, as of averages,
`steps.report_all`. What steps of a network have in common, whatever the rule, are `blocks.batches`, one for
all networks of a kind of shuffle, and `blocks.passes`, which evaluations call too. Others are called from the
host alone, of a pack each (`packs`): evaluation at given points, `engines.network.predict`, gradients, products
with second derivatives (`curvature`, `lanczos`), losses on planes (`affine`); and those that list samples, count
values (`summary`) and find first hits (`hits`).

**The life of a run**: its initial point is evaluated with a pack of others (`snapshots.queue_starts`), which
may end it there; `training.load_run` puts it into a free lane; steps are made until its next event
(`set_due`): a checkpoint, a look of a stop, the end of its budget. At an event `take_snapshot` queues its
point; once a pack of points waits, or a lane needs to know more to go on, `evaluate_snapshots` evaluates
them, lets the stops decide (`stop_tests.decided`), records the scores (`recorders`) and the end of a run that
has one. What lanes test in every step flags a lane instead (`steps.stops_here`, `end_step`), and
`handle_lane` ends its run or goes on to the next target. `training.settle_lanes` is the one place where all
this is done between steps, and `attendants` says who does what is done lane by lane. `monitoring` saves what
a lane has seen of a run whose budget is used up, so that it can go on.

**Engines** (`engines/`), chosen by the problem's family (`population.engine_choice`), each with a step,
`one_step`, of which `advance` makes many, and an evaluation:

- `network` over `blocks`, and these over `passes`, which run through a table of edges: a network in a pack; where it has few
  parameters and many steps are to be made, `written_out` writes its steps out unit by unit.
- `single_run`: a network of one run at a time, with its units and samples in the lanes, by the same `passes`
  over the products of `single_run_products`; where runs are few, or a pack would leave the cache.
- `functions`: a function or formula of few parameters, which stay in registers.
- `memory`: problems that leave their own gradient in memory: quadratic forms, linear models by their moments,
  TeacherStudent.

**Numbers with tangents** (`Structure.tangents`): the same kernels, compiled for numbers that each have a value
and tangents, so that all that runs report comes with its derivatives. Values keep their bits. What differs is
the type of the numbers, ZERO and the arrays; the products of networks (`engines.dual_products`), which make
values and tangents apart; and what is recorded of tangents themselves (`recorders.OF_TANGENTS`). What decides
how a run goes on, its stops, bounds and flags, looks at values (`lanes.tangents.value_of`).

**On CUDA** (`cuda`) a pack is a warp, each of whose threads holds and attends to a lane: the loop, with all that it
calls, is one kernel of the same functions, and so is each kernel of a pack. They compile without a device, and
tests run what comes of it, instruction by instruction (`tests/cuda`). `cuda_driver` has a device train a job, and
`cuda_packs` work through packs.

**Parts** are declared in `parts` of each room, and chosen in `cpu` and by the engine. All engines
need the rule's (`rules.parts`), the schedule's (`schedules.parts`), `penalized`, the sampler's (`draw_key`,
`draw`, `batch_size`, `fill`) and the sizes. Beside them: networks `activation`, `slope`, `sample_loss`,
`outputs`, `correct`, `finish_tile` and the tiles of `product_tiles`, and one run in all lanes its own
products; functions `value_and_gradient`, `batch_gradient` and `update_row`; problems in memory
`fill_gradient` and `fill_whole_gradient`. Functions marked `default_part` stand where an engine chooses no
other.
"""

# The versions of the bits that kernels give: of all kernels, of those that draw samples in an order, of those
# with a penalty, of those whose rule takes the gradient uphill with its length or a penalty, of those with a
# stop that needs no evaluation, and of those of several workers. Whoever changes bits raises the version of the part that has changed.
# `gdsim doctor` and its test know the answers.
BITS, ORDER_BITS, PENALTY_BITS, UPHILL_BITS, LANE_STOP_BITS, TEAM_BITS = 1, 2, 2, 2, 3, 3
