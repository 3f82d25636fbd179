"""What is said of packages, and what the project's own files say of themselves."""

import ast
import importlib
import importlib.metadata
import importlib.util
import pathlib
import re
import shlex
import tomllib

import pytest
import yaml

import gdsim as gd
from gdsim.sweep import export
from gdsim.words import installs

ROOT = pathlib.Path(gd.__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_what_an_extra_needs_is_installed_by_the_names_of_its_packages(extra):
    if extra not in (importlib.metadata.metadata("gdsim").get_all("Provides-Extra") or []):
        pytest.skip("gdsim was installed before it had an extra of this name: pip install -e .")
    words = shlex.split(installs(extra))
    assert words[:2] == ["pip", "install"]
    assert [re.match(r"[\w.-]+", word)[0] for word in words[2:]] == [re.match(r"[\w.-]+", p)[0] for p in PROJECT["optional-dependencies"][extra]]


def test_where_gdsim_is_not_installed_its_folder_is_named(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: None)
    assert installs("export") == "pip install '.[export]'"


def test_nothing_says_that_gdsim_is_installed_from_an_index():
    texts = [p for folder in ("gdsim", "experiments", "tests") for p in (ROOT / folder).glob("**/*") if p.suffix in (".py", ".toml", ".html", ".md")]
    named = [p.name for p in [*texts, ROOT / "README.md", ROOT / "CHANGELOG.md"] if re.search(r"pip install[^\n&]*\bgdsim\b(?!-)", p.read_text())]
    assert named == []


def test_an_export_without_its_package_names_what_to_install(tmp_path, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "zarr" else there(name))
    with pytest.raises(ValueError, match=r"^Zarr needs the package zarr, which is not installed: pip install .*'zarr>=3[^']*'$"):
        export.export(tmp_path, tmp_path / "results.zarr")


def test_the_citation_is_of_this_version():
    """The fields that its schema (1.2.0) asks for, and those that stand in pyproject.toml too."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert (cited["cff-version"], cited["type"], cited["title"]) == ("1.2.0", "software", PROJECT["name"])
    assert (cited["version"], cited["license"], cited["keywords"]) == (gd.__version__, PROJECT["license"], PROJECT["keywords"])


# What gdsim uses of Numba that Numba does not promise to keep. Whoever adds a name runs the tests with the
# next Numba too.
NUMBA = {
    "numba.core": "config ir types", "numba.core.analysis": "compute_cfg_from_blocks", "numba.core.cgutils": "alloca_once alloca_once_value if_unlikely",
    "numba.core.codegen": "JITCodeLibrary", "numba.core.compiler": "CompileResult CompilerBase Flags",
    "numba.core.compiler_lock": "global_compiler_lock", "numba.core.errors": "LoweringError NumbaError", "numba.core.imputils": "lower_constant user_function",
    "numba.core.lowering": "Lower", "numba.core.registry": "cpu_target", "numba.core.serialize": "dumps",
    "numba.core.typed_passes": "NativeLowering NoPythonBackend NopythonTypeInference PreLowerStripPhis",
    "numba.core.typing.templates": "AbstractTemplate AttributeTemplate ConcreteTemplate fold_arguments infer_global signature",
    "numba.core.untyped_passes":
        "DeadBranchPrune FixupArgs GenericRewrites ReconstructSSA RewriteSemanticConstants TranslateByteCode",
}  # fmt: skip
# The same of numba-cuda, and of some names that it means to keep. Tried: 0.27.0 and 0.30.0 with Numba 0.65, 0.30.4
# with 0.68; 0.24 fails with NumPy 2.4, 0.30.4 with NumPy 2.5.
NUMBA_CUDA = {
    "numba.cuda": "types", "numba.cuda.codegen": "CUDACodeLibrary", "numba.cuda.compiler": "compile_cuda kernel_fixup",
    "numba.cuda.core.compiler_lock": "global_compiler_lock", "numba.cuda.core.imputils": "lower_constant user_function",
    "numba.cuda.cudadrv.nvrtc": "get_arch_option get_supported_ccs", "numba.cuda.cudadrv.nvvm": "compile_ir",
    "numba.cuda.descriptor": "cuda_target",
    "numba.cuda.extending": "infer_getattr lower_getattr_generic models register_model typeof_impl",
    "numba.cuda.typing.templates": "AttributeTemplate infer_global make_intrinsic_template signature",
}  # fmt: skip
OTHERS = {
    "CompileResult._rebuild", "result._reduce", "sys._getframe", "ffi.lib._lock",
    "self._codegen._data_layout", "self._codegen._pass_builder",
    "self.context.get_function(kind, signature)._imp", "iterator._getvalue", "pair._getvalue", "os._exit", "module._modules", "s3fs.S3FileSystem._cat_file",
}  # fmt: skip
NAMEDTUPLE = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}


def modules_imported(nodes, package):
    """The names that are imported from a package's modules, by module."""
    imported = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and re.match(rf"{re.escape(package)}(\.|$)", node.module or ""):
            imported.setdefault(node.module, set()).update(alias.name for alias in node.names)
    return imported


def own_nodes():
    return [node for path in (ROOT / "gdsim").glob("**/*.py") for node in ast.walk(ast.parse(path.read_text()))]


def check_names(listed, package, requirement, is_there=True):
    """Names of a package that are used are those that are listed, are there where it is, and are pinned."""
    assert modules_imported(own_nodes(), package) == {module: set(names.split()) for module, names in listed.items()}
    assert re.search(r"<0\.\d+$", requirement), f"the next minor version of {package} may lack a name: it must be tried before it is allowed"
    for module, names in listed.items() if is_there else ():
        assert all(hasattr(importlib.import_module(module), name) for name in names.split()), module


def test_private_names_of_numba_are_pinned():
    check_names(NUMBA, "numba.core", next(d for d in PROJECT["dependencies"] if d.startswith("numba")))


def test_names_of_numba_cuda_are_pinned():
    requirement, _ = PROJECT["optional-dependencies"]["cuda"]
    is_there = importlib.util.find_spec("numba_cuda") is not None
    check_names(NUMBA_CUDA, "numba.cuda", requirement, is_there)


def test_private_names_of_others_are_few():
    nodes = own_nodes()
    attributes = [node for node in nodes if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr)]
    ours = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    ours |= {node.target.id for node in nodes if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    ours |= {node.attr for node in attributes if ast.unparse(node.value) in ("self", "cls")} | NAMEDTUPLE
    assert {ast.unparse(node) for node in attributes if node.attr not in ours} == OTHERS
