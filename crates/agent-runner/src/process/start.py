"""Starts the published runtime. It listens on every address, and hands a handler the message of a request alone; here its
server listens where it is told to, and a handler that takes the whole request finds in it what else was asked."""
import contextvars
import functools
import inspect
import io
import json
import os
import runpy
import socketserver
import sys

MORE = ("parameters", "session_id", "input_args", "input_kwargs")
asked = contextvars.ContextVar("asked", default={})
bind = socketserver.TCPServer.server_bind


def with_more(handler):
    """The same handler; what else was asked is in the dict that the runtime makes for it."""

    def filled(arguments):
        if arguments and isinstance(arguments[0], dict):
            for name, value in asked.get().items():
                arguments[0].setdefault(name, value)
        return arguments

    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def later(*arguments):
            return await handler(*filled(arguments))

        return later

    @functools.wraps(handler)
    def now(*arguments):
        return handler(*filled(arguments))

    return now


def remembers(post):
    """The same method of a server's handler; what else is asked is remembered until it has answered."""

    def do_post(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            return post(self)
        body, line = self.rfile.read(int(length)), self.rfile
        try:
            said = json.loads(body)
        except ValueError:
            said = None
        more = {name: said[name] for name in MORE if name in said} if isinstance(said, dict) else {}
        token, self.rfile = asked.set(more), io.BytesIO(body)
        try:
            return post(self)
        finally:
            asked.reset(token)
            self.rfile = line

    return do_post


def server_bind(self):
    """What the runtime serves and with what is known when its server begins to listen."""
    runtime, serves = sys.modules["__main__"], self.RequestHandlerClass
    if getattr(runtime, "AgentHandler", None) is serves:
        serves.do_POST = remembers(serves.do_POST)
        if runtime.USER_HANDLER is not None:
            runtime.USER_HANDLER = with_more(runtime.USER_HANDLER)
    host = os.environ.get("AGENT_LISTEN_HOST")
    if host:
        self.server_address = (host, self.server_address[1])
    bind(self)


socketserver.TCPServer.server_bind = server_bind
runpy.run_module("runagents.runtime", run_name="__main__", alter_sys=True)
