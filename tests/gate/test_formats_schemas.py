"""JSON, JUnit and SARIF are what their schemas say, for every outcome, and say what the outcome says."""

from __future__ import annotations

import copy
import json
import math
import re
from datetime import datetime, timezone
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema
from jsonschema import Draft7Validator, Draft202012Validator
from support.gates import HELD, HOSTILE, MANY, OUTCOMES, check, gate, held, line, lost

from verify.gate.formats.json_format import json_report
from verify.gate.formats.junit import junit
from verify.gate.formats.rules import INPUT_LOST
from verify.gate.formats.sarif import MOST, sarif
from verify.gate.formats.words import printable
from verify.gate.outcome import Status

SCHEMAS = Path(__file__).parent / "schemas"
SARIF = Draft7Validator(json.loads((SCHEMAS / "sarif-schema-2.1.0.json").read_text(encoding="utf-8")))
JUNIT = xmlschema.XMLSchema(SCHEMAS / "junit-4.xsd")
SCHEMA = json.loads((resources.files("verify.gate") / "gate.schema.json").read_text(encoding="utf-8"))
JSON = Draft202012Validator(SCHEMA)
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)

every_outcome = pytest.mark.parametrize("name", OUTCOMES)


def strictly(text):
    """JSON as the standard has it: no Infinity, no NaN."""
    return json.loads(text, parse_constant=pytest.fail)


# JSON


@every_outcome
def test_json_is_what_its_schema_says(name):
    JSON.validate(strictly(json_report(OUTCOMES[name])))


def objects(schema):
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            yield schema
        for part in schema.values():
            yield from objects(part)


def test_the_schema_is_a_schema_and_describes_and_requires_all_that_it_names():
    Draft202012Validator.check_schema(SCHEMA)
    assert len(list(objects(SCHEMA))) == 10
    for part in objects(SCHEMA):
        assert part["additionalProperties"] is False and part["required"] == list(part["properties"])
        assert all("description" in entry or "$ref" in entry for entry in part["properties"].values())


def places(data, path=()):
    """Where the dictionaries of a report are whose keys the schema fixes; of a list, the first stands for all."""
    if isinstance(data, dict) and path[-1:] not in (("versions",), ("sources",)):
        yield path
        for key, value in data.items():
            yield from places(value, (*path, key))
    elif isinstance(data, list) and data:
        yield from places(data[0], (*path, 0))


FULL = strictly(json_report(OUTCOMES["lost and gained"]))


def at(data, place):
    for key in place:
        data = data[key]
    return data


@pytest.mark.parametrize("place", list(places(FULL)), ids=str)
def test_a_report_with_a_key_more_or_less_is_refused(place):
    for key in at(FULL, place):
        less = copy.deepcopy(FULL)
        del at(less, place)[key]
        assert not JSON.is_valid(less), key
    more = copy.deepcopy(FULL)
    at(more, place)["more"] = 1
    assert not JSON.is_valid(more)


def test_what_is_not_finite_is_null():
    odd = gate(check(held("of a later version", Status.FAILED)), versions={"a": math.inf, "b": [math.nan, Path("p")]})
    data = strictly(json_report(odd))
    assert data["checks"][0]["thresholds"][0]["slack"] is None and data["versions"] == {"a": None, "b": [None, "p"]}


def test_json_has_names_as_they_are():
    data = strictly(json_report(OUTCOMES["hostile names"]))
    assert data["checks"][0]["name"] == HOSTILE and data["radii"][0]["model"] == HOSTILE


def test_json_counts_and_keeps_every_line():
    found = check(states=("verified", "falsified", "unknown", "unknown"))
    data = strictly(json_report(gate(found)))["checks"][0]
    assert data["states"] == {"verified": 1, "falsified": 1, "unknown": 2, "error": 0}
    assert data["lines"][0] == {
        "index": 0,
        "label": 3,
        "question": "c" * 64,
        "state": "verified",
        "predicted": 3,
        "reason": "",
        "evidence": "certified",
        "lower": 0.5,
        "target": 1,
        "certificate": None,
        "counterexample": None,
    }
    assert data["misclassified"] == 0 and data["changes"] is None and line(0, predicted=4).misclassified


# JUnit


@every_outcome
def test_junit_is_what_its_schema_says(name):
    JUNIT.validate(junit(OUTCOMES[name]))


@every_outcome
def test_junit_counts_its_cases_and_has_what_stricter_readers_require(name):
    """Ant's schema requires more than Jenkins': these attributes and elements, in this order."""
    root = ElementTree.fromstring(junit(OUTCOMES[name]).encode())
    assert not root.attrib and [suite.get("id") for suite in root] == [str(k) for k in range(len(root))]
    for suite in root:
        cases = suite.findall("testcase")
        assert [part.tag for part in suite] == ["properties", *["testcase"] * len(cases), "system-out", "system-err"]
        for count, pattern in (("tests", "testcase"), ("failures", "testcase/failure"), ("errors", "testcase/error")):
            assert int(suite.get(count)) == len(suite.findall(pattern))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))
        assert re.fullmatch(r"\d+\.\d{3}", suite.get("time")) and all(
            suite.get(n) for n in ("name", "package", "hostname")
        )
        assert all(len(case) <= 1 and case.get("classname") == suite.get("name") for case in cases)


@pytest.mark.parametrize(("status", "tag"), [(Status.FAILED, "failure"), (Status.UNDECIDED, "error")])
@pytest.mark.parametrize("name", HELD)
def test_junit_says_what_was_wanted_found_and_in_whose_way(name, status, tag):
    root = ElementTree.fromstring(junit(gate(check(held(name, status, inputs=(0, 1, 2, 7))))).encode())
    (found,) = root.findall(f"testsuite/testcase[@name='{name}']/{tag}")
    assert f"wanted {HELD[name][0]}, found {HELD[name][1]}" in found.get("message")
    assert found.text == found.get("message") + "\ninputs: 0-2, 7" and found.get("type") == name


def test_junit_names_network_region_and_versions():
    root = ElementTree.fromstring(junit(OUTCOMES["passed"]).encode())
    said = {entry.get("name"): entry.get("value") for entry in root.findall("testsuite[1]/properties/property")}
    assert said["network"] == "a" * 64 and said["region"] == "linf 0.1 within [0, 1], real arithmetic"
    assert said["version.torch"] == "2.13.0" and said["clip"] == '["0", "1"]' and said["baseline"] == "none"


def test_junit_keeps_names_visible_that_xml_has_no_place_for():
    root = ElementTree.fromstring(junit(OUTCOMES["hostile names"]).encode())
    assert root[0].get("name") == printable(HOSTILE) and root[0].find("system-err").text == printable(HOSTILE)


@every_outcome
def test_junit_is_the_same_each_time_but_for_the_time(name):
    assert junit(OUTCOMES[name], written=WHEN) == junit(OUTCOMES[name], written=WHEN)
    assert 'timestamp="2026-01-02T03:04:05"' in junit(OUTCOMES["passed"], written=WHEN)


# SARIF


def run(outcome):
    (found,) = strictly(sarif(outcome))["runs"]
    return found


@every_outcome
def test_sarif_is_what_the_standard_schema_says(name):
    SARIF.validate(strictly(sarif(OUTCOMES[name])))


@every_outcome
def test_sarif_results_have_a_rule_a_place_and_a_fingerprint_of_their_own(name):
    found = run(OUTCOMES[name])
    rules = [rule["id"] for rule in found["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for result in found["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"] and result["message"]["text"]
        (place,) = result["locations"]
        assert place["physicalLocation"]["region"] == {"startLine": 1} and place["logicalLocations"]
    prints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in found["results"]]
    assert len(set(prints)) == len(prints) - (name == "hostile names")  # there, one threshold stands twice


@every_outcome
def test_sarif_tells_the_exit_code_and_that_the_gate_came_to_an_end(name):
    (invocation,) = run(OUTCOMES[name])["invocations"]
    assert invocation["exitCode"] == OUTCOMES[name].exit_code and invocation["executionSuccessful"]


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("passed", []),
        ("without checks", []),
        *((f"failed by {threshold}", [(threshold, "error")]) for threshold in HELD),
        ("undecided", [("certified_accuracy", "warning")]),
        ("undecided fails", [("certified_accuracy", "error")]),
        ("lost and gained", [("lost", "error"), (INPUT_LOST, "error"), (INPUT_LOST, "note")]),
    ],
)
def test_sarif_has_a_result_for_each_threshold_that_does_not_hold_and_each_lost_input(name, levels):
    assert [(result["ruleId"], result["level"]) for result in run(OUTCOMES[name])["results"]] == levels


def test_sarif_says_where_the_policy_is_and_which_check_and_input_a_result_is_about():
    result = run(OUTCOMES["lost and gained"])["results"][1]
    assert result["message"]["text"] == "digits, input 1: verified in the baseline, now falsified"
    place = result["locations"][0]
    assert place["physicalLocation"]["artifactLocation"] == {"uri": "policies/reluproof.toml"}
    assert place["logicalLocations"] == [{"name": "1", "fullyQualifiedName": "digits/1", "kind": "input"}]
    hostile = run(OUTCOMES["hostile names"])["results"][0]["locations"][0]
    assert hostile["physicalLocation"]["artifactLocation"]["uri"] == "a%20folder/p%C3%B6licy%2C%3A%25.toml"


def test_a_name_is_no_link_and_no_placeholder_of_a_sarif_message():
    found = run(gate(check(held("lost", Status.FAILED), name="[here](1) {0}", notes=("[x]",))))
    said = (
        found["results"][0]["message"]["text"],
        found["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"],
    )
    assert said[0].startswith(r"\[here\](1) {{0}}, failed: lost") and said[1] == r"\[here\](1) {{0}}: \[x\]"


def test_fingerprints_stay_when_what_was_found_changes():
    before = gate(check(held("lost", Status.FAILED, inputs=(0,)), changes=lost(0)))
    after = gate(check(held("lost", Status.UNDECIDED, inputs=(1, 2)), changes=lost(1, 0)))
    prints = [[result["partialFingerprints"] for result in run(outcome)["results"]] for outcome in (before, after)]
    assert prints[0][0] == prints[1][0] and prints[0][1] == prints[1][2] and prints[0][1] != prints[1][1]


def test_notes_are_notifications_and_so_is_what_is_left_out():
    outcome = gate(check(states=(), changes=lost(*range(MOST + 7)), notes=("a note",)))
    found = run(outcome)
    (invocation,) = found["invocations"]
    said = [note["message"]["text"] for note in invocation["toolExecutionNotifications"]]
    assert len(found["results"]) == MOST == 25_000 and said[0] == "digits: a note"
    assert said[1] == "7 of 25007 results are left out; the JSON report has all inputs"


def test_ten_thousand_lost_inputs_are_ten_thousand_results():
    assert len(run(OUTCOMES["ten thousand lost"])["results"]) == MANY + 1
