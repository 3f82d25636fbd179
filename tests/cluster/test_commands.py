"""What cluster/kubernetes and cluster/docker run in containers, run here as processes on loopback, over TLS,
as the files say it.

The words, the environment and the certificate are those of the files; names of hosts and folders of
containers are put in place.
"""

import contextlib
import re
import shlex
import shutil
import subprocess
import urllib.request

import pytest

import gdsim as gd
from tests.cluster.manifests import CLUSTER, documents, process, substituted
from tests.cluster.test_docker import UNTIL_DONE, compose
from tests.faults.machinery import GUARD, free_port, kill_group, shards

pytestmark = pytest.mark.full
EXPERIMENT = """starts = 8
steps = 40
[problem]
type = "rosenbrock"
[optimizer]
type = "sgd"
lr = [1e-4, 1e-3]
"""


def of_kubernetes():
    """(words, environment) of each role's container, as the kubelet would start it."""
    job = documents((CLUSTER / "kubernetes" / "daskjob.yaml").read_text())[0]["spec"]
    settings = next(d["data"] for d in documents((CLUSTER / "kubernetes" / "once.yaml").read_text()) if d["kind"] == "ConfigMap")
    cluster = job["cluster"]["spec"]
    found = {}
    for role, pod in {"scheduler": cluster["scheduler"]["spec"], "worker": cluster["worker"]["spec"], "run": job["job"]["spec"]}.items():
        (container,) = pod["containers"]
        limits = {"limits.cpu": "2", "limits.memory": str(2**30)}
        own = {v["name"]: v["value"] if "value" in v else limits[v["valueFrom"]["resourceFieldRef"]["resource"]] for v in container.get("env", [])}
        environment = settings | own | {"DASK_WORKER_NAME": "gdsim-default-worker-0"}
        found[role] = (substituted(container["args"], environment), environment)
    return found


def of_compose():
    return {role: (service["command"], service["environment"]) for role, service in compose()["services"].items()}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A folder with tls.crt and tls.key, made by the command of cluster/docker/README.md."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    command = re.search(r"^ *(openssl req .*)$", (CLUSTER / "docker" / "README.md").read_text(), flags=re.M)[1]
    subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)
    return folder


def put_in_place(words, names):
    """Words with what stands for a container's hosts and folders here."""
    for there, here in names.items():
        words = [re.sub(there, here, word) for word in words]
    return words


@pytest.mark.parametrize("containers", [of_kubernetes, of_compose])
def test_the_containers_commands_train_a_sweep_over_tls(containers, certificate, tmp_path):
    """To the bytes of the same sweep on threads; the health that probes ask for is told; workers end when
    told to, with exit code 0.
    """
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    ports = free_port(), free_port()
    names = {
        "gdsim-scheduler:8786|//scheduler:8786": f"//127.0.0.1:{ports[0]}", "////": "//", "^8786$": str(ports[0]), "^/(tls|run/secrets)/": f"{certificate}/",
        "^(/experiment)?/experiment.toml$": f"{tmp_path}/experiment.toml", "^/results(/digits)?$": f"{tmp_path}/out", "^gdsim-until-done$": str(UNTIL_DONE),
    }  # fmt: skip
    roles = {}
    for role, (words, environment) in containers().items():
        put = {name: put_in_place([value], names)[0] for name, value in environment.items()}
        roles[role] = (put_in_place(words, names), put | {"HOME": str(tmp_path), "DASK_TEMPORARY_DIRECTORY": str(tmp_path)})
    words, environment = roles["scheduler"]
    roles["scheduler"] = ([*words, "--host", "127.0.0.1", "--dashboard-address", f"127.0.0.1:{ports[1]}"], environment)
    with contextlib.ExitStack() as stack:
        running = {}
        for role, (words, environment) in roles.items():
            running[role] = process(words, environment, tmp_path / f"{role}.log", cwd=tmp_path)
            stack.callback(kill_group, running[role])
        assert running["run"].wait(timeout=GUARD) == 0, (tmp_path / "run.log").read_text()
        with urllib.request.urlopen(f"http://127.0.0.1:{ports[1]}/health", timeout=GUARD) as answer:
            assert answer.status == 200
        running["worker"].terminate()
        assert running["worker"].wait(timeout=GUARD) == 0, (tmp_path / "worker.log").read_text()
    gd.read_experiment(tmp_path / "experiment.toml").run(out=tmp_path / "here")
    assert shards(tmp_path / "out") == shards(tmp_path / "here") != {}
