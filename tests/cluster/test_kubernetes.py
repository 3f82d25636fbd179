"""The manifests of cluster/kubernetes: by the operator's own definitions and Kubernetes' schemas, no unknown
key at any level, and by each other.

No cluster is asked. The definitions are those of the operator's chart, as the package dask-kubernetes carries
it.
"""

import decimal
import functools
import importlib.util
import pathlib
import re

import pytest

from tests.cluster.manifests import CLUSTER, changed, documents, everywhere

WHY = "pip install -e '.[manifests]'"
validate = pytest.importorskip("kubernetes_validate", reason=f"kubernetes-validate is not installed: {WHY}")
jsonschema = pytest.importorskip("jsonschema", reason=f"jsonschema is not installed: {WHY}")
if importlib.util.find_spec("dask_kubernetes") is None:
    pytest.skip(f"dask-kubernetes is not installed: {WHY}", allow_module_level=True)

FILES = {path.name: path.read_text() for path in sorted((CLUSTER / "kubernetes").glob("*.yaml"))}
OLDEST = "1.30"  # of Kubernetes; and the newest that the schemas know
# How Kubernetes writes quantities (`resource.Quantity`), but for exponents.
QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|[MGTPE]|[KMGTPE]i)?")
FACTORS = {None: 1, "m": decimal.Decimal("0.001"), "k": 1000}
FACTORS |= {prefix: 1000**power for power, prefix in enumerate("MGTPE", 2)} | {f"{prefix}i": 1024**power for power, prefix in enumerate("KMGTPE", 1)}
# What the operator sets by itself, and the commands of cluster/kubernetes/README.md make.
SET_BY_OPERATOR = {"DASK_WORKER_NAME", "DASK_SCHEDULER_ADDRESS"}
MADE_BY_COMMANDS = {("Secret", "gdsim-tls"), ("ConfigMap", "gdsim-experiment")}


def closed(schema):
    """A definition that takes no keys but those it names."""
    if isinstance(schema, list):
        return [closed(held) for held in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {key: closed(held) for key, held in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        shut["additionalProperties"] = False
    return shut


@functools.cache
def definitions():
    """By kind, the validator of the operator's resources."""
    package = pathlib.Path(importlib.util.find_spec("dask_kubernetes").origin).parent
    folder = package / "operator/deployment/helm/dask-kubernetes-operator/crds"
    found = [documents((folder / f"{kind}.yaml").read_text())[0]["spec"] for kind in ("daskjob", "daskworkergroup")]
    head = {"apiVersion": {"const": "kubernetes.dask.org/v1"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    validators = {}
    for definition in found:
        schema = closed(definition["versions"][0]["schema"]["openAPIV3Schema"])
        schema["properties"] |= head
        schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
        validators[definition["names"]["kind"]] = jsonschema.Draft202012Validator(schema)
    return validators


def parts_of(resource):
    """(path, resource of Kubernetes' own) of all that a resource of the operator embeds."""
    for path, mapping in everywhere(resource):
        if "containers" in mapping:
            yield path, {"apiVersion": "v1", "kind": "Pod", "metadata": resource["metadata"], "spec": mapping}
        if "service" in mapping:
            yield f"{path}.service", {"apiVersion": "v1", "kind": "Service", "metadata": resource["metadata"], "spec": mapping["service"]}


def faults(text, versions=(OLDEST,), others=()):
    """What is wrong with a file; `others` are documents that are applied before it."""
    resources = documents(text)
    for resource in resources:
        kind = resource["kind"]
        if kind in definitions():
            yield from (f"{kind}{error.json_path[1:]}: {error.message}" for error in definitions()[kind].iter_errors(resource))
        for path, part in parts_of(resource) if kind in definitions() else [("", resource)]:
            for version in versions:
                try:
                    validate.validate(part, version, strict=True)
                except validate.ValidationError as error:
                    yield f"{kind}{path}{error.json_path[1:]}: {error.message}"
        yield from unparsed(resource)
        yield from dangling(resource, [*others, *resources])


def quantity(value):
    """A quantity as a number, or None where Kubernetes could not read it."""
    found = QUANTITY.fullmatch(str(value))
    return decimal.Decimal(found[1]) * FACTORS[found[2]] if found else None


def unparsed(resource):
    """Images that are missing, quantities that are none, and requests beyond their limits."""
    for path, mapping in everywhere(resource):
        for i, container in enumerate(mapping.get("containers", [])):
            if not container.get("image"):
                yield f"{path}.containers[{i}] has no image"
        if not isinstance(mapping.get("requests"), dict):
            continue
        requests, limits = mapping["requests"], mapping.get("limits", {})
        for name, value in [*requests.items(), *limits.items()]:
            if quantity(value) is None:
                yield f"{path}: {name} {value!r} is no quantity"
            elif quantity(limits.get(name, value)) is not None and quantity(requests.get(name, value)) > quantity(limits.get(name, value)):
                yield f"{path}: more {name} is requested than the limit"


def dangling(resource, resources):
    """What a resource names that nobody makes."""
    made = {(r["kind"], r["metadata"]["name"]) for r in resources} | MADE_BY_COMMANDS
    for path, mapping in everywhere(resource):
        named = [("ConfigMap", mapping.get("configMapRef")), ("ConfigMap", mapping.get("configMap"))]
        wanted = [(kind, held["name"]) for kind, held in named if isinstance(held, dict)]
        wanted += [("Secret", mapping["secretName"])] if "secretName" in mapping else []
        wanted += [("PersistentVolumeClaim", mapping["claimName"])] if "claimName" in mapping else []
        yield from (f"{path}: there is no {kind} {name}" for kind, name in wanted if (kind, name) not in made)
        if "containers" not in mapping:
            continue
        volumes = {volume["name"] for volume in mapping.get("volumes", [])}
        for container in mapping["containers"]:
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            yield from (f"{path}: there is no volume {name}" for name in sorted(mounted - volumes))
            known = {variable["name"] for variable in container.get("env", [])} | SET_BY_OPERATOR
            used = set(re.findall(r"\$\((\w+)\)", " ".join(container.get("args", []))))
            yield from (f"{path}: $({name}) is not set" for name in sorted(used - known))


def others_of(name):
    return [d for other, text in FILES.items() if other != name for d in documents(text)]


@pytest.mark.parametrize("name", FILES)
def test_files_are_right_by_the_operators_definitions_and_kubernetes_schemas(name):
    assert list(faults(FILES[name], (OLDEST, validate.latest_version()), others_of(name))) == []


PLANTED = [
    ("      worker:\n        replicas", "      wroker:\n        replicas", "wroker"),
    ("resources: &small", "resourses: &small", "resourses"),
    ("limits: {cpu: \"4\", memory: 8Gi}", "limits: {cpu: \"4\", memory: 16 gigs}", "16 gigs"),
    ("requests: {cpu: \"4\", memory: 8Gi}", "requests: {cpu: \"4\", memory: 16Gi}", "more memory"),
    ("              image: *image\n", "", "no image"),
    ("image: &image gdsim:0.1.0", "image: &image ''", "no image"),
    ("replicas: 4", "replicas: four", "four"),
    ("replicas: 4", "replica: 4", "replica"),
    ("kind: DaskJob", "kind: DaskJobs", "DaskJobs"),
    ("apiVersion: kubernetes.dask.org/v1", "apiVersion: kubernetes.dask.org/v2", "apiVersion"),
    ("  job:\n    spec", "  jobs:\n    spec", "jobs"),
    ("restartPolicy: Never", "restartpolicy: Never", "restartpolicy"),
    ("restartPolicy: Never", "restartPolicy: Never\n      restartPolicy: OnFailure", "twice"),
    ("drop: [ALL]", "dropp: [ALL]", "dropp"),
    ("readinessProbe:\n                httpGet: {path", "readinessProbe:\n                httpGet: {pth", "pth"),
    ("operator: DoesNotExist}", "operator: DoesNotExist, value: x}", "value"),
    ("containerPort: 8786", "containerPort: 'a port'", "a port"),
    ("service:\n          type: ClusterIP", "service:\n          typ: ClusterIP", "typ"),
    ("claimName: gdsim-results", "claimName: gdsim-result", "gdsim-result"),
    ("{name: results, mountPath", "{name: result, mountPath", "result"),
    ("$(DASK_WORKER_NAME)", "$(WORKER_NAME)", "WORKER_NAME"),
    ("emptyDir: {}", "emptyDir: {medium: 5}", "5"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "word"), PLANTED, ids=[f"{word}-{i}" for i, (_, _, word) in enumerate(PLANTED)])
def test_a_planted_mistake_is_found(old, new, word):
    """Each in one place of daskjob.yaml, which has no other fault."""
    try:
        found = " ".join(faults(changed(FILES["daskjob.yaml"], old, new), others=others_of("daskjob.yaml")))
    except Exception as error:  # no such kind, or no YAML that is taken
        found = str(error) + str(vars(error))
    assert word in found


@pytest.mark.parametrize(("old", "new"), [("[ReadWriteMany]", "ReadWriteMany"), ("storage: 100Gi", "storage: much"), ("podSelector:", "podselector:")])
def test_a_planted_mistake_in_what_is_applied_once_is_found(old, new):
    assert list(faults(changed(FILES["once.yaml"], old, new)))


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", "0.5"), ("2Gi", 2 * 2**30), ("1.5k", 1500), ("4", 4), ("3M", 3_000_000), ("16 gigs", None), ("2gi", None), ("1K", None), ("", None)],
)
def test_quantities_are_read_as_kubernetes_reads_them(text, number):
    """By its documentation: m is a thousandth, k, M, G powers of 1000, Ki, Mi, Gi of 1024; there is no K."""
    assert quantity(text) == (None if number is None else decimal.Decimal(number))


def job():
    return documents(FILES["daskjob.yaml"])[0]


def test_the_service_and_the_policy_choose_the_pods_that_the_operator_makes():
    """Which have the labels dask.org/cluster-name, the job's name, and dask.org/component."""
    name = job()["metadata"]["name"]
    service = job()["spec"]["cluster"]["spec"]["scheduler"]["service"]
    ports = {port["name"]: port["containerPort"] for port in job()["spec"]["cluster"]["spec"]["scheduler"]["spec"]["containers"][0]["ports"]}
    assert service["selector"] == {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    assert {port["name"]: ports[port["targetPort"]] for port in service["ports"]} == ports == {"tcp-comm": 8786, "http-dashboard": 8787}
    policy = next(d for d in documents(FILES["once.yaml"]) if d["kind"] == "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"] == policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"] == {"dask.org/cluster-name": name}
    assert documents(FILES["gpu-workers.yaml"])[0]["spec"]["cluster"] == name


def test_workers_may_be_preempted_and_the_run_and_its_scheduler_not():
    cluster = job()["spec"]["cluster"]["spec"]
    lasting = [job()["spec"]["job"]["spec"], cluster["scheduler"]["spec"]]
    spot = {"cloud.google.com/gke-spot", "eks.amazonaws.com/capacityType", "kubernetes.azure.com/scalesetpriority"}
    for pod in lasting:
        (term,) = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        assert {e["key"] for e in term["matchExpressions"] if e["operator"] in ("DoesNotExist", "NotIn")} == spot
        assert "tolerations" not in pod
    preferred = cluster["worker"]["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert {e["key"] for p in preferred for e in p["preference"]["matchExpressions"] if e["operator"] in ("Exists", "In")} == spot


def test_deleting_a_job_keeps_its_results():
    """The claim of the volume lies in a file of its own, and all pods that train see the folder under one
    path.
    """
    assert [d["kind"] for d in documents(FILES["daskjob.yaml"])] == ["DaskJob"]
    pods = [job()["spec"]["job"]["spec"], job()["spec"]["cluster"]["spec"]["worker"]["spec"], documents(FILES["gpu-workers.yaml"])[0]["spec"]["worker"]["spec"]]
    assert {m["mountPath"] for p in pods for m in p["containers"][0]["volumeMounts"] if m["name"] == "results"} == {"/results"}
    assert job()["spec"]["job"]["spec"]["containers"][0]["args"][1].startswith("/results/")


@pytest.mark.full
def test_what_the_operator_makes_of_the_job_is_right_by_kubernetes_schemas():
    """Its deployments, service and pod, by its own functions; the scheduler's address stays the one over
    TLS.
    """
    controller = pytest.importorskip("dask_kubernetes.operator.controller", reason=f"dask-kubernetes is not installed: {WHY}")
    cluster, run = job()["spec"]["cluster"]["spec"], job()["spec"]["job"]["spec"]
    scheduler = controller.build_scheduler_deployment_spec("gdsim", cluster["scheduler"]["spec"], {}, {})
    service = controller.build_scheduler_service_spec("gdsim", cluster["scheduler"]["service"], {}, {})
    worker = controller.build_worker_deployment_spec("gdsim-default", "lab", "gdsim", "0123456789", cluster["worker"]["spec"], {}, {})
    pod = controller.build_job_pod_spec("gdsim", "gdsim", "lab", run, {}, {})
    for made in (scheduler, service, worker, pod):
        validate.validate(made, validate.latest_version(), strict=True)
    assert service["spec"]["selector"].items() <= scheduler["spec"]["template"]["metadata"]["labels"].items()
    for spec in (worker["spec"]["template"]["spec"], pod["spec"]):
        addresses = [v["value"] for v in spec["containers"][0]["env"] if v["name"] == "DASK_SCHEDULER_ADDRESS"]
        assert addresses == [f"tls://{service['metadata']['name']}:8786"]
