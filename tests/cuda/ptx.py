"""Runs PTX, as NVIDIA's compiler makes it, in NumPy, so that the bits of a kernel are known without a device.

Instructions between branches become Python code over arrays of all threads of some warps. Threads that have
parted run in the order of their places in the code until they meet, and, where an order is drawn, some threads of
each warp ahead of the others, up to the next vote or barrier. What is not known is refused, and so is what kernels
of gdsim must not have: arithmetic that is not rounded to nearest by itself, approximations, calls, traps, local
memory, addresses of which the space is not said, votes and barriers to which not all threads of a warp come.
"""

import re
from typing import Any, NamedTuple

import numpy as np

from gdsim.lanes.warps import NEAR
from tests.cuda import arithmetic
from tests.cuda.arena import LINE, WARP, Arena

KINDS = {name: np.dtype(code + str(bits // 8)) for bits in (8, 16, 32, 64) for name, code in ((f"u{bits}", "u"), (f"s{bits}", "i"), (f"b{bits}", "u"))}
KINDS |= {"f32": np.dtype("f4"), "f64": np.dtype("f8"), "pred": np.dtype("?")}
STORED = {"p": "pred", "rs": "u16", "r": "u32", "rd": "u64", "f": "f32", "fd": "f64"}  # in registers, by their names
COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "lo": "<", "ls": "<=", "hi": ">", "hs": ">="}
OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^"}
ROUNDED = {"rmi": "floor", "rpi": "ceil", "rzi": "trunc", "rni": "rint"}
ALL = 0xFFFFFFFF
DAMAGED = 0xFF  # a byte of memory in which nothing has been stored: of floats those of NaN
NEAR_FIRST = 1024  # where near memory begins in the window of shared memory, as on newer devices
SPACES = {"global": "", "shared": "near_"}
MEETINGS = ("vote", "redux", "shfl", "bar")  # where threads of a warp wait for each other


class RefusedError(Exception):
    """An instruction that is not known, or that kernels must not have."""


class Branch(NamedTuple):
    """Where threads go behind a block: all, or those where a register holds, or does not."""

    goal: str
    register: str = ""
    is_negated: bool = False


class Block(NamedTuple):
    """Instructions that all threads that come to the first of them run."""

    code: Any
    lines: list[str]
    written: tuple[str, ...]
    branch: Branch | None
    is_meeting: bool


def python_name(register: str) -> str:
    """A register as a Python variable."""
    return register.strip().lstrip("%").replace(".", "_")


def stored(register: str) -> str:
    """The kind of the numbers in a register."""
    found = re.fullmatch(r"%([a-z]+)\d+", register.strip())
    if found is None or found[1] not in STORED:
        raise RefusedError(f"the register {register}")
    return STORED[found[1]]


def operand(text: str, kind: str) -> str:
    """What an instruction reads, as numbers of a kind."""
    text = text.strip()
    if text in ("%laneid", "%tid.x", "%ctaid.x", "%ntid.x"):
        return python_name(text)
    if text == NEAR:
        return f"np.array({NEAR_FIRST}, 'u8')"
    if text.startswith("%"):
        own = stored(text)
        return python_name(text) if KINDS[own] == KINDS[kind] else f"{python_name(text)}.view('{KINDS[kind].str}')"
    if kind == "pred":
        return f"np.bool_({int(text)})"
    if text.startswith(("0f", "0d")):
        return f"np.array(0x{text[2:]}, 'u{KINDS[kind].itemsize}').view('{KINDS[kind].str}')[()]"
    if not re.fullmatch(r"-?(0x)?[0-9a-fA-F]+U?", text):
        raise RefusedError(f"the operand {text}")
    value, dtype = int(text.rstrip("U"), 0), KINDS[kind]
    return f"np.array({value % 2 ** (8 * dtype.itemsize)}, 'u{dtype.itemsize}').view('{dtype.str}')[()]"


def assigned(register: str, kind: str, value: str) -> str:
    """The statement that puts numbers of a kind into a register."""
    own = stored(register)
    if KINDS[own] == KINDS[kind]:
        return f"{python_name(register)} = {value}"
    return f"{python_name(register)} = ({value}).view('{KINDS[own].str}')"


class Instruction:
    """One instruction as Python."""

    def __init__(self, line: str) -> None:
        operation, _, rest = line.replace("\t", " ").partition(" ")
        self.line, self.parts, self.kind = line, operation.split("."), operation.split(".")[-1]
        self.operands = [part.strip() for part in re.split(r",(?![^{\[]*[}\]])", rest)] if rest else []
        maker = getattr(self, f"_{self.parts[0]}", None)
        if maker is None or (self.kind not in KINDS and self.parts[0] != "bar"):
            raise RefusedError(line)
        self.text = maker()

    def refuse(self) -> Any:
        """Raises RefusedError."""
        raise RefusedError(self.line)

    @property
    def written(self) -> list[str]:
        """The registers that it changes."""
        if self.parts[0] in ("st", "bar"):
            return []
        return [python_name(name) for name in re.split(r"[,|]", self.operands[0].strip("{}"))]

    def read(self, place: int, kind: str | None = None) -> str:
        """One of its operands."""
        return operand(self.operands[place], kind or self.kind)

    def gives(self, value: str, kind: str | None = None) -> str:
        """The statement that assigns its result."""
        return assigned(self.operands[0], kind or self.kind, value)

    def gives_float(self, value: str) -> str:
        """The statement that assigns the result of float arithmetic, any NaN being that of devices."""
        return self.gives(f"device_nan({value})" if self.kind == "f32" else value)

    def together(self, place: int, text: str) -> str:
        """What a whole warp does, an operand says which of its threads."""
        return f"check_all({self.read(place, 'b32')})\n{text}"

    def rounded(self) -> None:
        """Refuses float arithmetic that is not rounded to nearest, each operation by itself, of all numbers."""
        if self.kind[0] == "f" and self.parts[1:-1] != ["rn"]:
            self.refuse()

    def _mov(self) -> str:
        return self.gives(f"full({self.read(1)})")

    def _cvta(self) -> str:
        return self.gives(self.read(1)) if self.parts[1:3] == ["to", "global"] else self.refuse()

    def _two(self) -> str:
        self.rounded()
        return self.gives_float(f"{self.read(1)} {OPERATORS[self.parts[0]]} {self.read(2)}")

    _add = _sub = _and = _or = _xor = _two

    def _mul(self) -> str:
        if "lo" in self.parts:
            return self.gives(f"{self.read(1)} * {self.read(2)}")
        if "hi" in self.parts:
            return self.gives(f"upper_half(full({self.read(1)}), full({self.read(2)}))")
        if "wide" in self.parts:
            wide = f"{self.kind[0]}{2 * int(self.kind[1:])}"
            return self.gives(f"{self.read(1)}.astype('{KINDS[wide].str}') * {self.read(2)}.astype('{KINDS[wide].str}')", wide)
        return self._two() if self.kind[0] == "f" else self.refuse()

    def _mad(self) -> str:
        if "lo" in self.parts:
            return self.gives(f"{self.read(1)} * {self.read(2)} + {self.read(3)}")
        if "wide" not in self.parts:
            self.refuse()
        wide = f"{self.kind[0]}{2 * int(self.kind[1:])}"
        return self.gives(f"{self.read(1)}.astype('{KINDS[wide].str}') * {self.read(2)}.astype('{KINDS[wide].str}') + {self.read(3, wide)}", wide)

    def _fma(self) -> str:
        self.rounded()
        return self.gives_float(f"fma{self.kind[1:]}({self.read(1)}, {self.read(2)}, {self.read(3)})")

    def _rcp(self) -> str:
        self.rounded()
        return self.gives_float(f"np.{KINDS[self.kind].name}(1) / {self.read(1)}")

    def _sqrt(self) -> str:
        self.rounded()
        return self.gives_float(f"np.sqrt({self.read(1)})")

    def _div(self) -> str:
        return self._two() if self.kind[0] == "f" else self.gives(f"quotient({self.read(1)}, {self.read(2)})")

    def _rem(self) -> str:
        return self.gives(f"np.fmod({self.read(1)}, {self.read(2)})")

    def _not(self) -> str:
        return self.gives(f"~{self.read(1)}")

    def _neg(self) -> str:
        return self.gives(f"-{self.read(1)}") if len(self.parts) == 2 else self.refuse()

    def _abs(self) -> str:
        return self.gives(f"np.abs({self.read(1)})") if len(self.parts) == 2 else self.refuse()

    def _bfi(self) -> str:
        first, count = (int(text) for text in self.operands[3:])
        field = (1 << count) - 1 << first
        inside = operand(str(field), self.kind)
        return self.gives(f"{self.read(2)} & ~{inside} | shifted({self.read(1)}, np.uint32({first}), True) & {inside}")

    def _popc(self) -> str:
        return self.gives(f"np.bitwise_count({self.read(1)}).astype('u4')", "u32")

    def _shift(self) -> str:
        return self.gives(f"shifted({self.read(1)}, {self.read(2, 'u32')}, {self.parts[0] == 'shl'})")

    _shl = _shr = _shift

    def _extreme(self) -> str:
        if len(self.parts) != 2:
            self.refuse()
        if self.kind[0] == "f":
            return self.gives(f"of_two({self.read(1)}, {self.read(2)}, {self.parts[0] == 'max'})")
        return self.gives(f"np.{self.parts[0]}imum({self.read(1)}, {self.read(2)})")

    _min = _max = _extreme

    def _selp(self) -> str:
        return self.gives(f"np.where({self.read(3, 'pred')}, {self.read(1)}, {self.read(2)})")

    def _setp(self) -> str:
        if len(self.parts) != 3:
            self.refuse()
        how, (a, b) = self.parts[1], (self.read(1), self.read(2))
        unordered = f"np.isnan({a}) | np.isnan({b})" if self.kind[0] == "f" else "False"
        if how in ("num", "nan"):
            return self.gives(unordered if how == "nan" else f"~({unordered})", "pred")
        if self.kind[0] == "f" and how.endswith("u"):
            return self.gives(f"({a} {COMPARISONS[how[:-1]]} {b}) | {unordered}", "pred")
        if self.kind[0] == "f" and how == "ne":
            return self.gives(f"({a} != {b}) & ~({unordered})", "pred")
        return self.gives(f"{a} {COMPARISONS[how]} {b}", "pred")

    def _cvt(self) -> str:
        *how, to, source = self.parts[1:]
        if to not in KINDS or "ftz" in how or "sat" in how:
            self.refuse()
        x, goal, is_float = self.read(1, source), KINDS[to], source[0] == "f"
        if to[0] == "f" and is_float and how and how[0] in ROUNDED and to == source:
            return self.gives(f"np.{ROUNDED[how[0]]}({x})", to)
        if is_float and to[0] != "f":
            return self.gives(f"to_whole({x}, np.dtype('{goal.str}'))", to) if how == ["rzi"] else self.refuse()
        if how not in (["rn"], []) or (how == [] and to[0] == "f" and (not is_float or int(to[1:]) < int(source[1:]))):
            self.refuse()
        return self.gives(f"{x}.astype('{goal.str}')", to)

    def _address(self, text: str) -> str:
        base, _, offset = text.strip("[] ").partition("+")
        return f"{operand(base, 'u64')} + np.array({int(offset or 0) % 2**64}, 'u8')"

    def _ld(self) -> str:
        space, *how = self.parts[1:-1] or ["unsaid"]
        target, address = self.operands
        if space == "param":
            word = f"parameters[{address.strip('[]').rpartition('_')[2]}]"
            return assigned(target, self.kind, f"full(np.array({word}, 'u8').astype('{KINDS[self.kind].str}'))")
        if space not in SPACES or not set(how) <= {"nc", "v2", "v4"}:
            self.refuse()
        names, size = target.strip("{} ").split(","), KINDS[self.kind].itemsize
        lines = [f"check_aligned({self._address(address)}, {len(names) * size}, mask)"] if len(names) > 1 else []
        for number, name in enumerate(names):
            loaded = f"{SPACES[space]}load({self._address(address)} + np.array({number * size}, 'u8'), '{KINDS[self.kind].str}', mask, {'nc' in how})"
            own = KINDS[stored(name)]
            if own.itemsize == size:
                lines.append(assigned(name, self.kind, loaded))
            else:
                wide = KINDS[f"{'s' if self.kind[0] == 's' else 'u'}{8 * own.itemsize}"]
                lines.append(f"{python_name(name)} = {loaded}.astype('{wide.str}').view('{own.str}')")
        return "\n".join(lines)

    def _st(self) -> str:
        space, *how = self.parts[1:-1] or ["unsaid"]
        if space not in SPACES or not set(how) <= {"v2", "v4"}:
            self.refuse()
        size, texts = KINDS[self.kind].itemsize, self.operands[1].strip("{} ").split(",")
        lines = [f"check_aligned({self._address(self.operands[0])}, {len(texts) * size}, mask)"] if len(texts) > 1 else []
        for number, text in enumerate(texts):
            is_wider = text.strip().startswith("%") and KINDS[stored(text)].itemsize > size
            value = f"{python_name(text)}.astype('{KINDS[self.kind].str}')" if is_wider else operand(text, self.kind)
            lines.append(f"{SPACES[space]}store({self._address(self.operands[0])} + np.array({number * size}, 'u8'), full({value}), mask)")
        return "\n".join(lines)

    def _atom(self) -> str:
        if not {"global", "add"} < set(self.parts):
            self.refuse()
        return self.gives(f"add({self._address(self.operands[1])}, full({self.read(2)}), mask)")

    def _vote(self) -> str:
        how = self.parts[2]
        if self.parts[1] != "sync" or how not in ("any", "all", "ballot"):
            self.refuse()
        return self.together(2, self.gives(f"vote('{how}', full({self.read(1, 'pred')}))"))

    def _redux(self) -> str:
        if self.parts[1] != "sync" or self.parts[2] not in ("min", "max") or self.kind != "u32":
            self.refuse()
        return self.together(2, self.gives(f"extreme('{self.parts[2]}', {self.read(1)})"))

    def _shfl(self) -> str:
        how = self.parts[2]
        if self.parts[1] != "sync" or how not in ("bfly", "idx"):
            self.refuse()
        target = self.operands[0].partition("|")[0]
        value = f"exchanged('{how}', {self.read(1)}, full({self.read(2, 'u32')}), {self.read(3, 'u32')})"
        return self.together(4, assigned(target, self.kind, value))

    def _bar(self) -> str:
        return self.together(0, "meet(mask)") if self.parts[1:] == ["warp", "sync"] else self.refuse()


class Program:
    """A kernel's instructions in blocks. Raises RefusedError for what it must not have."""

    def __init__(self, text: str) -> None:
        if re.search(r"\.local\b|^\s*\.shared\b", text, re.MULTILINE):
            raise RefusedError("local memory, or shared memory that is not near memory")
        body = text[text.index(".visible .entry") :]
        self.entry = body[: body.index("(")].split()[-1]
        self.parameters = len(re.findall(r"\.param \.\w+", body[: body.index(")")]))
        self.blocks: list[Block] = []
        self.labels: dict[str, int] = {}
        waiting: list[str] = []
        for raw in body[body.index("{") + 1 :].split("\n"):
            line = raw.partition("//")[0].strip().rstrip(";").strip()
            label = re.fullmatch(r"(\$\w+):", line)
            branch = re.fullmatch(r"(?:@(!?)%(p\d+)\s+)?bra(?:\.uni)?\s+(\$\w+)", line)
            if not line or line.startswith((".reg", ".loc", ".pragma", "}")):
                continue
            if label:
                waiting = self.close(waiting)
                self.labels[label[1]] = len(self.blocks)
            elif branch:
                waiting = self.close(waiting, Branch(branch[3], branch[2] or "", branch[1] == "!"))
            elif line == "ret":
                waiting = self.close(waiting, Branch("end"))
            elif line.startswith(MEETINGS):
                self.close(waiting)
                waiting = self.close([line], is_meeting=True)
            else:
                waiting.append(line)
        self.close(waiting)
        self.labels["end"] = len(self.blocks)

    def close(self, lines: list[str], branch: Branch | None = None, is_meeting: bool = False) -> list[str]:
        """Ends a block; gives the lines of the next, none."""
        if lines or branch:
            made = [Instruction(line) for line in lines]
            written = dict.fromkeys(name for instruction in made for name in instruction.written)
            code = compile("\n".join(instruction.text for instruction in made) or "pass", "<ptx>", "exec")
            self.blocks.append(Block(code, lines, tuple(written), branch, is_meeting))
        return []

    def run(self, arena: Arena, arguments: list[Any], warps: int = 1, order: np.random.Generator | None = None, block: int = WARP, near: int = 0) -> int:
        """Runs some warps, in blocks of so many threads with so many bytes of near memory each, from the kernel's beginning
        to its end, and gives how many instructions of warps that took. Arguments are arrays of one dimension in the arena, and whole numbers.
        `order` draws which threads go ahead of the others.
        """
        words: list[int] = []
        for argument in arguments:
            is_array = isinstance(argument, np.ndarray)
            words += [0, 0, argument.size, argument.itemsize, argument.ctypes.data, argument.size, argument.itemsize] if is_array else [argument]
        assert len(words) == self.parameters, f"{self.parameters} words of arguments, and {len(words)} given"
        with np.errstate(all="ignore"):
            return Run(self, arena, words, warps, order, block, near).finish()


def lines_of(size: int) -> int:
    """So many bytes or a few more, in whole lines."""
    return -(-size // LINE) * LINE


def near_arena(size: int, blocks: int, threads: int) -> Arena:
    """Near memory of so many bytes for each of some blocks, in which there is nothing yet that means anything."""
    arena = Arena(lines_of(size) * blocks, threads)
    arena.bytes[:], arena.used = DAMAGED, len(arena.bytes)
    return arena


class Run:
    """Threads on their way through a program."""

    def __init__(self, program: Program, arena: Arena, words: list[int], warps: int, order: np.random.Generator | None, block: int, near: int) -> None:
        self.program, self.arena, self.order, self.warps, self.executed = program, arena, order, warps, 0
        self.thread = np.arange(WARP * warps)
        self.at, self.ahead = np.zeros(self.thread.size, np.int64), np.zeros(self.thread.size, np.bool_)
        word = self.thread.astype(np.uint32)
        self.registers: dict[str, Any] = {
            "np": np, "parameters": words, "laneid": word % WARP, "tid_x": word % block, "ctaid_x": word // block, "ntid_x": np.full_like(word, block),
            "full": lambda x: np.broadcast_to(x, self.thread.shape), "fma32": arithmetic.fma32, "fma64": arithmetic.fma64, "device_nan": arithmetic.device_nan, "upper_half": arithmetic.upper_half,
            "quotient": arithmetic.quotient, "of_two": arithmetic.of_two, "shifted": arithmetic.shifted, "to_whole": arithmetic.to_whole, "load": self.load, "store": self.store,
            "add": self.add, "vote": self.vote, "extreme": self.extreme, "exchanged": self.exchanged, "meet": self.meet, "check_all": self.check_all,
            "check_aligned": self.check_aligned,
        }  # fmt: skip
        self.block, self.near_room = self.thread // block, near
        self.near = near_arena(near, -(-len(self.thread) // block), len(self.thread)) if near else None
        self.registers |= {"near_load": self.near_load, "near_store": self.near_store}
        self.meetings = np.array([block.is_meeting for block in program.blocks] + [False])
        self.everyone = np.ones(self.thread.size, np.bool_)
        self.draw(np.ones(warps, np.bool_))
        arena.begin(warps)

    def finish(self) -> int:
        """Runs until all threads have come to the end."""
        while True:
            mask = self.next_threads()
            if mask is None:
                return self.executed
            self.run_block(self.program.blocks[self.at[mask][0]], mask)

    def draw(self, warps: np.ndarray) -> None:
        """Draws which threads of some warps go ahead up to the next vote or barrier."""
        if self.order is not None:
            self.ahead = np.where(warps.repeat(WARP), self.order.random(self.thread.size) < 0.5, self.ahead)

    def next_threads(self) -> np.ndarray | None:
        """The threads that go on next, all at one place; None if all have ended. Raises AssertionError where
        threads of a warp wait for each other.
        """
        end, first = len(self.program.blocks), self.at[0]
        if self.order is None and first < end and (self.at == first).all():
            return self.everyone
        goes_on, waits = self.at < end, self.meetings[self.at]
        if not goes_on.any():
            return None
        by_warp = self.at.reshape(-1, WARP)
        is_together = (by_warp == by_warp[:, :1]).all(1).repeat(WARP)
        can = goes_on & (~waits | is_together)
        if not can.any():
            places = sorted({self.program.blocks[place].lines[0] for place in self.at[goes_on]})
            raise AssertionError(f"not all threads of a warp come to {'; '.join(places)}")
        for sooner in (can & waits, can & self.ahead):
            if sooner.any():
                can = sooner
                break
        return can & (self.at == self.at[can].min())

    def run_block(self, block: Block, mask: np.ndarray) -> None:
        """Runs a block by some threads."""
        self.executed += (len(block.lines) + (block.branch is not None)) * int(mask.reshape(-1, WARP).any(1).sum())
        known, is_all = self.registers, mask is self.everyone or mask.all()
        known["mask"] = mask
        before = {} if is_all else {name: known[name] for name in block.written if name in known}
        try:
            exec(block.code, known)
        except AssertionError as error:
            raise type(error)(f"{error}, in {'; '.join(block.lines)}") from error
        for name, old in before.items():
            known[name] = np.where(mask, known[name], old)
        here = self.at[mask][0]
        goal = here + 1 if block.branch is None else self.program.labels[block.branch.goal]
        if block.branch is not None and block.branch.register:
            takes = known[block.branch.register] != block.branch.is_negated
            self.at = np.where(mask, np.where(takes, goal, here + 1), self.at)
        else:
            self.at = np.where(mask, goal, self.at)
        if block.is_meeting:
            self.draw(mask.reshape(-1, WARP)[:, 0])

    def load(self, address: np.ndarray, kind: str, mask: np.ndarray, is_constant: bool, memory: Arena | None = None) -> np.ndarray:
        """What each thread finds at its address; `is_constant` where the kernel says that nothing is stored there."""
        memory = memory or self.arena
        own, read = np.dtype(f"u{np.dtype(kind).itemsize}"), memory.load_constant if is_constant else memory.load
        if mask is self.everyone:
            return read(address, own, self.thread).view(kind)
        found = np.zeros(self.thread.size, kind)
        found[mask] = read(address[mask], own, self.thread[mask]).view(kind)
        return found

    def store(self, address: np.ndarray, value: np.ndarray, mask: np.ndarray, memory: Arena | None = None) -> None:
        """Stores each thread's number."""
        (memory or self.arena).store(address[mask], value[mask].view(f"u{value.itemsize}"), self.thread[mask])

    def in_near(self, address: np.ndarray, mask: np.ndarray, size: int) -> np.ndarray:
        """Where numbers of near memory lie in the arena that has that of all blocks. Raises AssertionError outside of it."""
        assert self.near is not None, "near memory is touched, and the kernel was given none"
        at = address.view(np.int64) - NEAR_FIRST
        outside = mask & ((at < 0) | (at + size > self.near_room))
        assert not outside.any(), f"an address outside of near memory: {at[outside][0]} of {self.near_room}"
        return (self.near.base + self.block * lines_of(self.near_room) + at).view(np.uint64)

    def near_load(self, address: np.ndarray, kind: str, mask: np.ndarray, is_constant: bool) -> np.ndarray:
        """What each thread finds in its block's near memory."""
        return self.load(self.in_near(address, mask, np.dtype(kind).itemsize), kind, mask, is_constant, self.near)

    def near_store(self, address: np.ndarray, value: np.ndarray, mask: np.ndarray) -> None:
        """Stores each thread's number in its block's near memory."""
        self.store(self.in_near(address, mask, value.itemsize), value, mask, self.near)

    def add(self, address: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """What was at each thread's address before it added to it."""
        before = np.zeros_like(value)
        before[mask] = self.arena.add(address[mask], value[mask], self.thread[mask])
        return before

    def vote(self, how: str, holds: np.ndarray) -> np.ndarray:
        """What the threads of each warp have found."""
        by_warp = holds.reshape(-1, WARP)
        if how == "ballot":
            return (by_warp << np.arange(WARP, dtype=np.uint32)).sum(1, dtype=np.uint32).repeat(WARP)
        return (by_warp.any(1) if how == "any" else by_warp.all(1)).repeat(WARP)

    def extreme(self, how: str, x: np.ndarray) -> np.ndarray:
        """The smallest or greatest of the numbers of each warp."""
        by_warp = x.reshape(-1, WARP)
        return (by_warp.min(1) if how == "min" else by_warp.max(1)).repeat(WARP)

    def check_aligned(self, address: np.ndarray, size: int, mask: np.ndarray) -> None:
        """Raises AssertionError where numbers that a thread moves together do not lie at a multiple of their size."""
        assert not (address[mask] % np.uint64(size)).any(), f"a vector's address that is no multiple of {size}"

    def check_all(self, threads: np.ndarray) -> None:
        """Raises RefusedError where a vote or barrier is not for all threads of a warp."""
        if (threads != ALL).any():
            raise RefusedError("a vote or barrier of a part of a warp")

    def exchanged(self, how: str, x: np.ndarray, place: np.ndarray, clamp: np.ndarray) -> np.ndarray:
        """The number of another thread of the warp. Raises RefusedError for exchanges within parts of one."""
        if (clamp != WARP - 1).any():
            raise RefusedError("an exchange within a part of a warp")
        lane = self.thread % WARP
        source = (lane ^ place if how == "bfly" else place) % WARP
        return x[self.thread - lane + source.astype(np.int64)]

    def meet(self, mask: np.ndarray) -> None:
        """A barrier: what threads have stored before is seen by the others of their warps."""
        for memory in (self.arena, self.near):
            if memory is not None:
                memory.meet(np.flatnonzero(mask.reshape(-1, WARP)[:, 0]))
