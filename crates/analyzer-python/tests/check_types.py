"""Every answer is what the stub says, no more and no less: each agent's answer is read by the stub's own types."""

import pathlib
import sys
import typing

from pydantic import ConfigDict, TypeAdapter, ValidationError

from agentlint_analyzer import analyze

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_module import AGENTS, files_of  # noqa: E402

stub = pathlib.Path(__file__).parents[1] / "agentlint_analyzer.pyi"


def sealed(cls):
    cls.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    return cls


text = stub.read_text().replace("from typing import Literal, type_check_only", "from typing import Literal")
names: dict[str, typing.Any] = {"type_check_only": sealed, "__name__": "stub"}
exec(compile(text, str(stub), "exec"), names)
sealed(names["Requirement"])
adapter = TypeAdapter(names["Analysis"])

seen: set[tuple[str, str]] = set()


def walk(value: object, kind: str) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            seen.add((kind, key))
            walk(inner, key)
    elif isinstance(value, list):
        for inner in value:
            walk(inner, kind)


answers = 0
for case in sorted(AGENTS.iterdir()):
    if (case / "input").is_dir():
        answer = analyze(files_of(case / "input"))
        adapter.validate_python(answer)
        walk(answer, "")
        answers += 1
assert answers > 50, answers

# It would see what is missing, what is too much, and another type.
good = analyze({"agent.py": "import requests\n\nrequests.get('https://api.stripe.com/v1/charges')\n"})
for break_it in (
    lambda bad: bad.pop("id"),
    lambda bad: bad.update(other=1),
    lambda bad: bad["tools"][0].update(line="1"),
    lambda bad: bad["requirements"]["packages"][0].update(other=1),
):
    bad = adapter.validate_python(good)
    break_it(bad)
    try:
        adapter.validate_python(bad)
    except ValidationError:
        continue
    raise AssertionError("a wrong answer passed")

print(answers, "answers have their types;", len(seen), "fields were seen")
