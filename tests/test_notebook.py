"""Progress and interrupts in a notebook's kernel."""

import queue
import time

import pytest

pytestmark = pytest.mark.full
CELL = """
import gdsim as gd
sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.01]), starts=4, steps=5)
result = sweep.run(progress=True)
"""
LONG = """
sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=1e-9), starts=10**5, steps=10**6)
sweep.run()
"""
GUARD = 300


def test_a_cell_has_one_line_that_updates():
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = [nbformat.v4.new_code_cell(CELL), nbformat.v4.new_code_cell("sweep.run(progress=False).sizes['run']")]
    notebook = nbclient.NotebookClient(nbformat.v4.new_notebook(cells=cells), timeout=GUARD).execute()
    (shown,) = notebook.cells[0].outputs
    assert shown.output_type == "display_data"
    assert shown.data["text/plain"].startswith("8 of 8 runs  in ")
    assert "8 of 8 runs" in shown.data["text/html"]
    (shown,) = notebook.cells[1].outputs
    assert shown.data["text/plain"] == "8"


@pytest.fixture
def kernel():
    manager = pytest.importorskip("jupyter_client.manager")
    pytest.importorskip("ipykernel")
    kernel, client = manager.start_new_kernel()
    yield kernel, client
    client.stop_channels()
    kernel.shutdown_kernel(now=True)


def messages(client):
    """What a kernel says, until it rests."""
    while True:
        try:
            message = client.get_iopub_msg(timeout=GUARD)
        except queue.Empty:
            pytest.fail("the kernel says nothing")
        yield message
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return


def test_an_interrupt_is_acknowledged_and_ends_the_cell(kernel):
    kernel, client = kernel
    client.execute(CELL)
    list(messages(client))
    client.execute(LONG)
    lines, error, sent = [], "", None
    for message in messages(client):
        text = message["content"].get("data", {}).get("text/plain", "")
        lines += [text] if text else []
        if lines and sent is None:
            sent = time.monotonic()
            kernel.interrupt_kernel()
        error = error or message["content"].get("ename", "")
    assert error == "KeyboardInterrupt"
    assert any("interrupted" in line for line in lines)
    client.execute("sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), steps=5); print(sweep.run().sizes['run'])")
    said = [m["content"]["text"] for m in messages(client) if m["msg_type"] == "stream"]
    assert said == ["1\n"]
