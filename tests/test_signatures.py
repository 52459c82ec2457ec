"""What signatures say: every public argument and result has its type, every array its shape. Nothing is imported."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import landscape

ROOT = Path(landscape.__file__).parent
ARRAYS = {"jax.Array", "np.ndarray", "Array", "ArrayLike"}  # bare: of any shape
SHAPED = {"Bool", "Float", "Inexact", "Int", "Key", "Real", "Shaped"}  # of jaxtyping: each says a shape

# Where no type says more, and why.
UNTYPED = {
    "tree.param": "what a field is declared with must pass for a value of the field's type",
    "tree.static": "as tree.param",
    "plots.look.style": "matplotlib types the keys of its settings one by one, other ones in every version",
    "plots.look.Look.axes": "axes of two or three dimensions, which have no type in common that draws",
    "plots.parts.stroke": "keywords of matplotlib, each of which has another type",
    "cli.surfaces.plot_sweep": "as plots.parts.stroke",
    "training.tangents.scalar": "of a jaxpr: the variables of JAX tell neither shape nor dtype to a type checker",
    "sweeps.settings.located": "a value of any type, and the same type again but for names of files in it",
    "sweeps.file.Zip.zip": "cattrs takes a value of Any as it is, and nothing as an object",
    "sweeps.file.File.axes": "as sweeps.file.Zip.zip",
    "sweeps.file.File.fixed": "as sweeps.file.Zip.zip",
}
ALIASES = {
    "blocks.Json": "what `json.loads` returns; as a union every reader would have to take it apart",
    "cliffs.describing.Row": "a record of a table whose columns depend on the surface",
    "kernels.lanes.Equation": "of a jaxpr, as training.tangents.scalar",
    "kernels.lanes.Ref": "of Pallas, which has no public type of it",
    "store.folders.ZarrArray": "zarr's own types say that an element may be anything",
    "store.folders.ZarrGroup": "zarr's own types say that a member may be a group or an array",
    "sweeps.settings.Hint": "what may stand as an annotation has no type before PEP 747",
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def modules() -> dict[str, ast.Module]:
    paths = [path for path in ROOT.rglob("*.py") if "shipped" not in path.parts]
    return {module_name(path): ast.parse(path.read_text("utf-8")) for path in paths}


def said(where: str, body: list[ast.stmt]) -> Iterator[tuple[str, str, ast.expr]]:
    """(place, name, annotation) of every public argument, result and field; ``**name`` for keywords of any name."""
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield f"{where}.{node.target.id}", node.target.id, node.annotation
        elif isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            place = f"{where}.{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from said(place, node.body)
                continue
            arguments = node.args
            plain = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            rest = [("*", arguments.vararg), ("**", arguments.kwarg)]
            named = [("", argument) for argument in plain] + [(stars, one) for stars, one in rest if one]
            for stars, argument in named:
                if argument.annotation is not None:
                    yield place, stars + argument.arg, argument.annotation
            if node.returns is not None:
                yield place, "return", node.returns


@functools.cache
def public() -> list[tuple[str, str, ast.expr]]:
    every = ((name, [n for n in tree.body if not isinstance(n, ast.AnnAssign)]) for name, tree in modules().items())
    return [found for name, body in every for found in said(name, body)]


def parts(annotation: ast.expr) -> Iterator[str]:
    """Every name in an annotation, also in one that is text; what stands in a shaped array is part of that."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        yield from parts(ast.parse(annotation.value, mode="eval").body)
    elif isinstance(annotation, ast.Name | ast.Attribute):
        yield ast.unparse(annotation)
    elif isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) in SHAPED:
        yield ast.unparse(annotation.value)
    elif isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Annotated":
        yield from parts(annotation.slice.elts[0])
    elif not (isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal"):
        for child in ast.iter_child_nodes(annotation):
            if isinstance(child, ast.expr):
                yield from parts(child)


def test_every_public_signature_says_its_types_but_for_those_that_are_explained():
    # Keywords of any name that are handed on have the types of whoever takes them, and positions beside them too.
    untyped = {place for place, name, hint in public() if "Any" in parts(hint) and not name.startswith("*")}
    assert untyped == set(UNTYPED)


def test_every_public_array_says_its_shape():
    assert [(place, name) for place, name, hint in public() if ARRAYS & set(parts(hint))] == []


def test_a_name_for_any_type_is_explained():
    found = {
        f"{name}.{ast.unparse(node.targets[0])}"
        for name, tree in modules().items()
        for node in tree.body
        if isinstance(node, ast.Assign) and "Any" in {getattr(part, "id", "") for part in ast.walk(node.value)}
    }
    assert found == set(ALIASES)


def test_an_annotation_is_looked_at_in_depth():
    hint = lambda text: ast.parse(text, mode="eval").body  # noqa: E731
    assert "Any" in parts(hint("dict[str, list[Any]] | None"))
    assert "Any" in parts(hint("'Callable[[Any], int]'"))
    assert "Any" not in parts(hint("PyTree[Float[Array, 'Any']]"))
    assert ARRAYS & set(parts(hint("tuple[Float[Array, 'unit'], jax.Array]"))) == {"jax.Array"}
    assert not ARRAYS & set(parts(hint("'Float[np.ndarray, \"row\"] | None'")))
