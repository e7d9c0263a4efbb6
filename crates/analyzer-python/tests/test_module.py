"""The installed wheel, as a user imports it: `python -m unittest` in an environment that has both wheels."""

from __future__ import annotations

import _thread
import inspect
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import agentlint_analyzer
from agentlint_analyzer import analyze

if TYPE_CHECKING:
    from agentlint_analyzer import Analysis, Tool

AGENTS = pathlib.Path(__file__).resolve().parents[3] / "fixtures" / "agents"
SECRET = "5cac1b890a43b5d490833fd11716268e2a78b070"
AGENT = f'''import requests

CRM_TOKEN = "{SECRET}"
requests.post("https://api.stripe.com/v1/refunds", headers={{"X-Token": CRM_TOKEN}})
'''
LARGE = {f"part_{index}.py": AGENT * 20 for index in range(400)}


def files_of(folder: pathlib.Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(errors="replace") for path in paths}


def in_a_fork(files: dict[str, str]) -> str:
    return analyze(files)["id"]


class Answers(unittest.TestCase):
    def test_an_agent_is_analyzed(self) -> None:
        analysis: Analysis = analyze({"agent.py": AGENT})
        tool: Tool = analysis["tools"][0]
        self.assertEqual((tool["name"], tool["base_url"]), ("stripe-api", "https://api.stripe.com"))
        self.assertEqual([(site["method"], site["path"]) for site in tool["call_sites"]], [("POST", "/v1/refunds")])
        self.assertEqual(analysis["secrets"][0]["line"], 3)
        self.assertNotIn(SECRET[:8], repr(analysis))

    def test_it_is_the_answer_of_the_command(self) -> None:
        command = pathlib.Path(sys.prefix) / "bin" / "agentlint"
        compared = 0
        for case in sorted(AGENTS.iterdir()):
            folder = case / "input"
            if not folder.is_dir():
                continue
            run = subprocess.run([command, "inspect", folder, "--isolated"], capture_output=True, text=True, check=True)
            told: dict[str, Any] = json.loads(run.stdout)
            own: dict[str, Any] = dict(analyze(files_of(folder)))
            # The command leaves out what version control or a size limit leaves out.
            if told["stats"] == own["stats"]:
                self.assertEqual(told, own, case.name)
                compared += 1
        self.assertGreater(compared, 50)

    def test_it_says_what_it_is(self) -> None:
        self.assertEqual(list(inspect.signature(analyze).parameters), ["files"])
        self.assertIn("ValueError", analyze.__doc__ or "")
        self.assertRegex(agentlint_analyzer.__version__, r"^\d+\.\d+\.\d+$")


class Errors(unittest.TestCase):
    def test_what_is_no_dict_of_text_is_a_type_error(self) -> None:
        wrong: list[tuple[Any, str]] = [
            (3, "dict"),
            (["agent.py"], "dict"),
            ({1: ""}, "paths are str, not int"),
            ({"agent.py": None}, 'the text of "agent.py" is NoneType, not str'),
            ({"agent.py": AGENT.encode()}, 'the text of "agent.py" is bytes, not str'),
        ]
        for files, message in wrong:
            with self.subTest(message), self.assertRaisesRegex(TypeError, message) as raised:
                analyze(files)
            self.assertNotIn(SECRET[:8], str(raised.exception))

    def test_what_is_not_taken_is_a_value_error_that_says_what_to_do(self) -> None:
        wrong = [
            ({"../agent.py": AGENT}, "leaves the project"),
            ({"agent.py": AGENT, "./agent.py": AGENT}, "submitted twice"),
            ({f"{index}.py": "" for index in range(100_000)}, "leave out what the agent does not need"),
            ({"agent.py": "\ud800"}, 'decode it with errors="replace"'),
            ({"\ud800": ""}, "a path is no text"),
        ]
        for files, message in wrong:
            with self.subTest(message), self.assertRaisesRegex(ValueError, message) as raised:
                analyze(files)
            self.assertNotIn(SECRET[:8], str(raised.exception))


class Threads(unittest.TestCase):
    def test_other_threads_run_while_files_are_analyzed(self) -> None:
        with ThreadPoolExecutor(1) as threads:
            answer = threads.submit(analyze, LARGE)
            turns = 0
            while not answer.done():
                turns += 1
            self.assertTrue(answer.result()["tools"])
        # Were the lock held, this thread would have had a turn before and one after.
        self.assertGreater(turns, 1_000)

    def test_many_threads_get_one_answer(self) -> None:
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(analyze, [{"agent.py": AGENT}] * 64))
        self.assertTrue(all(answer == answers[0] for answer in answers))

    def test_an_interrupt_ends_an_analysis(self) -> None:
        begun = threading.Event()

        def interrupt() -> None:
            begun.wait()
            _thread.interrupt_main()

        thread = threading.Thread(target=interrupt)
        thread.start()
        with self.assertRaises(KeyboardInterrupt):
            begun.set()
            analyze(LARGE)
        thread.join()
        self.assertEqual(analyze({"agent.py": AGENT})["entry_point"], "agent.py")

    @unittest.skipUnless(hasattr(os, "fork"), "no processes are forked here")
    def test_a_forked_process_has_threads_of_its_own(self) -> None:
        own = analyze({"agent.py": AGENT})["id"]
        with multiprocessing.get_context("fork").Pool(2) as processes:
            answers = processes.map_async(in_a_fork, [{"agent.py": AGENT}] * 8)
            self.assertEqual(set(answers.get(timeout=120)), {own})


if __name__ == "__main__":
    unittest.main()
