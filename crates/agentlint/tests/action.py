"""Runs the steps of action.yml as a runner does: conditions, inputs, shell, paths that a step adds, files that it writes."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

ACTION, WHEEL = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
PLAIN = 'import requests\n\nrequests.get("http://api.northwind-crm.io/v1", timeout=9)\n'
CLEAN = PLAIN.replace("http:", "https:")


# Where one runner keeps what it installed from step to step.
TEMP = pathlib.Path(tempfile.mkdtemp(prefix="runner-", dir=os.environ.get("SCRATCH")))


def run(files: dict[str, str], action_path: pathlib.Path = ACTION.parent, temp: pathlib.Path = TEMP, **given: str):
    """Names of the steps with how they ended, what they printed, and the folder."""
    action = yaml.safe_load(ACTION.read_text())
    unknown = set(given) - {name.replace("-", "_") for name in action["inputs"]}
    assert not unknown, unknown
    inputs = {name: given.get(name.replace("-", "_"), own["default"]) for name, own in action["inputs"].items()}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="action-", dir=os.environ.get("SCRATCH")))
    (folder / ".git").mkdir()
    for path, text in files.items():
        (folder / path).write_text(text)
    path_file, summary = folder / ".git/path", folder / ".git/summary"
    path_file.touch()
    failed, ended, printed = False, {}, ""
    for step in action["runs"]["steps"]:
        assert step["shell"] == "bash", step
        condition = step.get("if", "success()").removeprefix("${{").removesuffix("}}").strip()
        parts = [part.strip() for part in condition.split("&&")]
        runs = True if "!cancelled()" in parts else not failed
        for part in parts:
            wanted = re.fullmatch(r"inputs\.([a-z-]+) == '(\w+)'", part)
            assert wanted or part in ("!cancelled()", "success()"), part
            runs = runs and (not wanted or inputs[wanted[1]] == wanted[2])
        if not runs:
            ended[step["name"]] = "skipped"
            continue
        # Whatever comes from outside goes through variables: a script with inputs in it could be made to run others.
        assert "${{" not in step["run"], step
        env = {name: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda m: inputs[m[1]], value) for name, value in step.get("env", {}).items()}
        assert not any("${{" in value for value in env.values()), env
        added = path_file.read_text().split()
        own = {key: value for key, value in os.environ.items() if not key.startswith(("AGENTLINT", "CLAUDE", "AI_AGENT"))}
        own |= {
            "PATH": os.pathsep.join([*reversed(added), "/usr/local/bin", "/usr/bin", "/bin", str(pathlib.Path(sys.executable).parent)]),
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(action_path),
            "GITHUB_PATH": str(path_file),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_WORKSPACE": str(folder),
            "RUNNER_OS": "Linux",
            "RUNNER_TEMP": str(temp),
            "PIP_NO_INDEX": "1",
        }
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(shell, cwd=folder, env=own | env, capture_output=True, text=True)
        printed += done.stdout + done.stderr
        ended[step["name"]] = done.returncode
        failed = failed or done.returncode != 0
    return ended, printed, folder


ended, printed, folder = run({"agent.py": PLAIN}, package=str(WHEEL))
assert ended == {"Install": 0, "Check": 1, "Lock": "skipped"}, (ended, printed)
assert "::warning file=agent.py,line=3," in printed, printed
assert '"2.1.0"' in (folder / "agentlint.sarif").read_text()
assert "plain-http" in (folder / ".git/summary").read_text()

ended, printed, folder = run({"agent.py": CLEAN, "b c.py": CLEAN}, package=str(WHEEL), paths="agent.py .", sarif="out.sarif")
assert ended == {"Install": 0, "Check": 0, "Lock": "skipped"}, (ended, printed)
assert (folder / "out.sarif").is_file()

ended, printed, _ = run({"agent.py": PLAIN}, package=str(WHEEL), fail_on="high", lock="true")
assert ended == {"Install": 0, "Check": 0, "Lock": 2} and "`agentlint lock` writes it" in printed, (ended, printed)

# The lock is looked at whatever the check says.
lock = 'version = 1\n'
ended, printed, _ = run({"agent.py": PLAIN, "agent.lock": lock}, package=str(WHEEL), lock="true")
assert ended == {"Install": 0, "Check": 1, "Lock": 1} and "+ GET api.northwind-crm.io/v1 (agent.py:3)" in printed, (ended, printed)

# Without a package the action installs itself: what lies where the action lies.
ended, printed, _ = run({"agent.py": CLEAN}, action_path=WHEEL, temp=TEMP / "another")
assert ended == {"Install": 0, "Check": 0, "Lock": "skipped"}, (ended, printed)

ended, printed, _ = run({"agent.py": CLEAN}, package="no-such-package-of-anybody")
assert ended["Install"] != 0 and ended["Check"] == "skipped", (ended, printed)
print("ran")
