"""A vision-language model behind an OpenAI-compatible endpoint: pictures and a question in, text out.

`POST <url>/chat/completions` with base64 JPEGs, as OpenAI, Gemini's compatible endpoint, vLLM and
llama.cpp's server take it. Nothing is sent to anybody unless the environment names an endpoint.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from humanmotion.errors import InputError, UsageError

URL, MODEL, KEY = "HUMANMOTION_VLM_URL", "HUMANMOTION_VLM_MODEL", "HUMANMOTION_VLM_KEY"
"""Environment variables: base URL, as https://api.example.com/v1, model and key (some need none)."""
TRIES = 5
FIRST_WAIT, MOST_WAIT = 1.0, 60.0
"""Seconds before the second try; doubled each time, or as long as the endpoint asks for."""
TIMEOUT = 120.0
MOST_REPLY_BYTES = 1 << 20
MOST_REPLY_TOKENS = 4096
"""An answer takes some fifty; but models that think have their thoughts counted."""
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}


@dataclass(frozen=True)
class Reply:
    """What the model said."""

    text: str
    cut_off: bool
    """Whether it ran into its limit of tokens."""
    tokens: int | None
    """Tokens of question and reply, as the endpoint counts them."""


@dataclass(frozen=True)
class VisionEndpoint:
    """Where to ask, and how often at most."""

    url: str
    """Base URL."""
    model: str
    key: str = field(default="", repr=False)
    requests_a_minute: float = 60.0
    timeout: float = TIMEOUT
    """Seconds that a reply may take."""
    wait: Callable[[float], None] = field(default=time.sleep, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{URL} is {self.url!r}; give a base URL as https://host/v1")
        if parts.username or parts.password or parts.query:
            raise UsageError(f"{URL} holds a password or a query; give the key in {KEY}")
        if not self.model:
            raise UsageError(f"{MODEL} names no model; give one that the endpoint serves")
        if not (self.requests_a_minute > 0 and self.timeout > 0):
            raise UsageError("requests a minute and timeout must be above 0")
        if any(not 32 < ord(c) < 127 for c in self.key):
            raise UsageError(f"{KEY} holds blanks or other letters that no key has")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> VisionEndpoint:
        """The endpoint that the environment names; UsageError where it names none."""
        missing = [name for name in (URL, MODEL) if not environment.get(name)]
        if missing:
            raise UsageError(
                f"no vision-language model is set up: {' and '.join(missing)} missing; set {URL} to "
                f"an OpenAI-compatible base URL, {MODEL} to a model and {KEY} to its key"
            )
        return cls(environment[URL], environment[MODEL], environment.get(KEY, "").strip())

    def ask(self, question: str, pictures: Sequence[bytes]) -> Reply:
        """The model's reply to a question about JPEG pictures.

        Tries up to TRIES times where that may help. Raises InputError, in one line, when it does not.
        """
        body = json.dumps(self._request(question, pictures)).encode()
        for number in range(TRIES):
            started = self.clock()
            try:
                return parse_reply(self._post(body))
            except _Passing as problem:
                if number + 1 == TRIES:
                    raise InputError(
                        f"{self._where} gave no answer in {TRIES} tries: {problem}; answers so far "
                        "are kept, run again later to go on"
                    ) from None
                self.wait(min(problem.after or FIRST_WAIT * 2**number, MOST_WAIT))
            finally:
                # The next request is this one's neighbour, whatever became of it.
                left = 60 / self.requests_a_minute - (self.clock() - started)
                if left > 0:
                    self.wait(left)
        raise AssertionError("the last try returns or raises")

    @property
    def _where(self) -> str:
        return f"{self.model} at {self.url}"

    def _request(self, question: str, pictures: Sequence[bytes]) -> dict[str, Any]:
        shown = [
            {"type": "image_url",
             "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(p).decode()}}
            for p in pictures
        ]  # fmt: skip
        content = [*shown, {"type": "text", "text": question}]
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": MOST_REPLY_TOKENS,
        }

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(
            self.url.rstrip("/") + "/chat/completions", body, headers, method="POST"
        )
        try:
            with _OPENER.open(request, timeout=self.timeout) as answer:
                found: bytes = answer.read(MOST_REPLY_BYTES + 1)
                left = answer.length
        except urllib.error.HTTPError as error:
            raise self._refusal(error) from None
        except (TimeoutError, urllib.error.URLError, OSError, http.client.HTTPException) as error:
            raise _Passing(_reason(error, self.timeout)) from None
        if len(found) > MOST_REPLY_BYTES:
            raise InputError(f"{self._where} sent more than {MOST_REPLY_BYTES} bytes; no answer")
        if left:
            raise _Passing(f"the reply broke off after {len(found)} bytes")
        return found

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        try:
            with error:
                said = " ".join(error.read(300).decode("utf-8", "replace").split())
        except (OSError, http.client.HTTPException):
            said = ""
        if self.key:
            said = said.replace(self.key, "***")
        text = f"HTTP {error.code}" + (f", {said}" if said else "")
        if error.code in _AGAIN:
            return _Passing(text, after=_seconds(error.headers.get("Retry-After")))
        hint = f"; check {KEY}" if error.code in (401, 403) else f"; check {URL} and {MODEL}"
        return InputError(f"{self._where} refuses: {text}{hint}")


class _Passing(Exception):
    """A failure that may pass."""

    def __init__(self, text: str, *, after: float | None = None) -> None:
        super().__init__(text)
        self.after = after


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the key, and the pictures, to somebody else."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def parse_reply(body: bytes) -> Reply:
    """The text of a chat completion; raises a failure that may pass where it holds none."""
    try:
        found = json.loads(body)
        choice = found["choices"][0]
        text = choice["message"]["content"]
        usage = found.get("usage") or {}
        tokens = usage.get("total_tokens")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise _Passing(f"the reply is no chat completion: {body[:80]!r}") from None
    if not isinstance(text, str) or not text.strip():
        raise _Passing("the reply is empty")
    cut_off = choice.get("finish_reason") == "length"
    return Reply(text, cut_off, tokens if isinstance(tokens, int) else None)


def _reason(error: Exception, timeout: float) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no reply within {timeout:g} s"
    if isinstance(cause, http.client.IncompleteRead):
        return f"the reply broke off after {len(cause.partial)} bytes"
    return str(cause) or type(cause).__name__


def _seconds(text: str | None) -> float | None:
    """Of a Retry-After header; one that gives a date is waited for like any other failure."""
    try:
        return max(float(text), 0.0) if text else None
    except ValueError:
        return None
