"""Asking a model behind an endpoint: a stand-in server here, with every way an answer can go wrong."""

from __future__ import annotations

import base64
import dataclasses
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from humanmotion.body import BodyModel
from humanmotion.errors import InputError, UsageError
from humanmotion.files import read_json, write_json
from humanmotion.jobs import vision_judge
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.vision_endpoint import (
    KEY,
    MODEL,
    MOST_REPLY_BYTES,
    TRIES,
    URL,
    VisionEndpoint,
)
from humanmotion.jobs.vision_judge import Asked, VisionJudge
from humanmotion.metrics.prompt_tasks import choice_question, match_question

QUESTION = "What is it?"
Handler = http.server.BaseHTTPRequestHandler


def completion(text: str, *, finish: str = "stop") -> bytes:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": {"total_tokens": 12}}).encode()


def says(text: str, **how: str) -> Callable[[Handler], None]:
    return sends(200, completion(text, **how))


def sends(code: int, body: bytes, **headers: str) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def half(handler: Handler) -> None:
    body = completion("A person walks. Answer: yes")
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])


def hangs_up(handler: Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def sleeps(handler: Handler) -> None:
    time.sleep(0.4)


class StandIn:
    """A server that answers as it is told, one answer after the other, the last again and again."""

    def __init__(self) -> None:
        self.answers: list[Callable[[Handler], None]] = []
        self.asked: list[dict] = []
        self.headers: list[dict] = []
        self.waited: list[float] = []
        stand_in = self

        class Local(Handler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stand_in.asked.append(json.loads(body) | {"path": self.path})
                stand_in.headers.append(dict(self.headers))
                at = min(len(stand_in.asked), len(stand_in.answers)) - 1
                stand_in.answers[at](self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Local)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def endpoint(self, **how: float) -> VisionEndpoint:
        """Told to wait, it notes how long and goes on."""
        how = {"requests_a_minute": 1e9, "timeout": 5.0} | how
        return VisionEndpoint(self.url, "sees", "secret-key", wait=self.waited.append, **how)


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    made = StandIn()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_question_goes_out_as_the_interface_says(stand_in):
    stand_in.answers = [says("A walk.")]
    reply = stand_in.endpoint().ask(QUESTION, [b"one", b"two"])
    assert (reply.text, reply.cut_off, reply.tokens) == ("A walk.", False, 12)
    (asked,) = stand_in.asked
    assert asked["path"] == "/v1/chat/completions" and asked["model"] == "sees"
    *shown, text = asked["messages"][0]["content"]
    assert text == {"type": "text", "text": QUESTION}
    urls = [x["image_url"]["url"] for x in shown]
    assert [base64.b64decode(u.removeprefix("data:image/jpeg;base64,")) for u in urls] == [
        b"one", b"two",
    ]  # fmt: skip
    assert stand_in.headers[0]["Authorization"] == "Bearer secret-key"
    assert not stand_in.waited


@pytest.mark.parametrize(
    "failure",
    [sends(500, b"oh"), sends(429, b"slower"), sends(503, b""), half, hangs_up, sends(200, b"{"),
     sends(200, b"[]"), sends(200, b'{"choices": []}'), says(""), sends(200, b"\xff" * 9)],
    ids=["500", "429", "503", "half", "hang up", "no JSON", "list", "no choice", "empty", "bytes"],
)  # fmt: skip
def test_what_may_pass_is_tried_again_ever_more_slowly(stand_in, failure):
    stand_in.answers = [failure, failure, says("A walk.")]
    assert stand_in.endpoint().ask(QUESTION, []).text == "A walk."
    assert stand_in.waited == [1.0, 2.0]
    stand_in.asked.clear()
    stand_in.answers = [failure]
    with pytest.raises(InputError, match=f"{TRIES} tries.*run again") as told:
        stand_in.endpoint().ask(QUESTION, [])
    assert len(stand_in.asked) == TRIES
    assert "\n" not in str(told.value) and "secret-key" not in str(told.value)


def test_a_wait_that_is_asked_for_is_kept(stand_in):
    date = "Fri, 01 Jan 2027 00:00:00 GMT"
    stand_in.answers = [*(sends(429, b"", Retry_After=x) for x in ("7", "9999", date)), says("x")]
    stand_in.endpoint().ask(QUESTION, [])
    assert stand_in.waited == [7.0, 60.0, 4.0]


@pytest.mark.parametrize(
    ("code", "hint"), [(401, KEY), (403, KEY), (404, MODEL), (400, URL), (302, URL)]
)
def test_a_refusal_is_told_at_once_and_without_the_key(stand_in, code, hint):
    stand_in.answers = [sends(code, b"no: secret-key\n is wrong", Location="http://127.0.0.1:1/x")]
    with pytest.raises(InputError, match=f"HTTP {code}.*{hint}") as told:
        stand_in.endpoint().ask(QUESTION, [])
    assert len(stand_in.asked) == 1
    assert "secret-key" not in str(told.value) and "\n" not in str(told.value)


def test_an_endpoint_that_is_down_or_too_slow_is_told_in_one_line(stand_in):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    down = dataclasses.replace(stand_in.endpoint(), url=f"http://127.0.0.1:{port}/v1")
    with pytest.raises(InputError, match="refused"):
        down.ask(QUESTION, [])
    stand_in.answers = [sleeps]
    with pytest.raises(InputError, match=r"no reply within 0\.05 s"):
        stand_in.endpoint(timeout=0.05).ask(QUESTION, [])


def test_a_flood_is_no_answer(stand_in):
    stand_in.answers = [sends(200, b"x" * (MOST_REPLY_BYTES + 1))]
    with pytest.raises(InputError, match="more than"):
        stand_in.endpoint().ask(QUESTION, [])


def test_requests_keep_their_distance(stand_in):
    stand_in.answers = [says("x")]
    still = dataclasses.replace(stand_in.endpoint(requests_a_minute=30), clock=lambda: 0.0)
    still.ask(QUESTION, [])
    still.ask(QUESTION, [])
    assert stand_in.waited == [2.0, 2.0]


def test_the_environment_names_the_endpoint():
    made = VisionEndpoint.from_environment({URL: "https://h/v1", MODEL: "m", KEY: " k\n"})
    assert (made.url, made.model, made.key) == ("https://h/v1", "m", "k")
    assert "k" not in repr(made).replace("https://h/v1", "")
    with pytest.raises(UsageError, match=f"{URL} and {MODEL} missing"):
        VisionEndpoint.from_environment({})
    for url in ("file:///etc/passwd", "h/v1", "http://", "ftp://h/v1"):
        with pytest.raises(UsageError, match="give a base URL"):
            VisionEndpoint(url, "m")
    with pytest.raises(UsageError, match="password"):
        VisionEndpoint("https://me:mine@h/v1", "m")
    with pytest.raises(UsageError, match="no key has"):
        VisionEndpoint("https://h/v1", "m", "a\nX-Other: b")


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def asked(body) -> list[Asked]:
    walk = walking_motion(body, seconds=1.2)
    ten = choice_question("walk", [f"wrong {i}" for i in range(9)], clip="250")
    return [Asked("250", walk, ten), Asked("350", walk, match_question("walk")),
            Asked("351", walk[:20], match_question("swim"))]  # fmt: skip


def test_answers_are_scored_kept_and_not_asked_again(stand_in, body, asked, tmp_path):
    judge = VisionJudge(stand_in.endpoint(), body, tmp_path / "answers")
    told = judge.estimate(asked)
    assert (told.questions, told.kept, told.pictures) == (3, 0, 6 + 6 + 4)
    assert 16_000 < told.tokens < 18_000
    assert "about $0.0" in told.line(dollars_per_million_tokens=0.3)
    stand_in.answers = [says("Answer: walk"), says("Answer: no"), says("Answer: yes")]
    found = judge.scores(asked)
    assert [x.value for x in found] == [1.0, 0.0, 1.0]
    assert len(stand_in.asked) == 3
    assert judge.scores(asked) == found
    assert len(stand_in.asked) == 3
    assert judge.estimate(asked).kept == 3 and judge.estimate(asked).pictures == 0
    kept = [read_json(p) for p in sorted(judge.folder.iterdir())]
    for one in kept:
        assert one["reply"].startswith("Answer:") and one["time"].startswith("20")
        assert one["question"] and len(one["pictures_sha256"]) in (4, 6)
        assert "secret-key" not in json.dumps(one)
    # Another model, label or motion is another question.
    other = VisionJudge(dataclasses.replace(judge.endpoint, model="b"), body, judge.folder)
    assert other.estimate(asked).kept == 0
    moved = [dataclasses.replace(asked[0], motion=asked[0].motion[1:])]
    assert judge.estimate(moved).kept == 0


def test_pictures_of_the_body_are_sent(stand_in, body, asked, tmp_path):
    stand_in.answers = [says("Answer: walk")]
    VisionJudge(stand_in.endpoint(), body, tmp_path).scores(asked[:1])
    *shown, text = stand_in.asked[0]["messages"][0]["content"]
    assert text["text"] == asked[0].question.text and len(shown) == 6
    for one in shown:
        data = base64.b64decode(one["image_url"]["url"].partition(",")[2])
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)
        assert picture.shape == (960, 960, 3)
        blue = picture[..., 0] > picture[..., 2] + 40
        assert 0.005 < blue.mean() < 0.3


def test_a_run_that_breaks_off_goes_on_where_it_was(stand_in, body, asked, tmp_path):
    judge = VisionJudge(stand_in.endpoint(), body, tmp_path)
    stand_in.answers = [says("Answer: walk"), says("Answer: yes"), sends(401, b"")]
    with pytest.raises(InputError, match=r"clip 351, 2 of 3 done: .*HTTP 401"):
        judge.scores(asked)
    assert judge.estimate(asked).kept == 2
    stand_in.answers = [says("Answer: no")]
    stand_in.asked.clear()
    assert [x.value for x in judge.scores(asked)] == [1.0, 1.0, 0.0]
    assert len(stand_in.asked) == 1


def test_half_an_answer_is_no_value_with_its_reason(stand_in, body, asked, tmp_path):
    stand_in.answers = [says("A person walks and", finish="length"), says("I cannot say.")]
    cut, none = VisionJudge(stand_in.endpoint(), body, tmp_path).scores(asked[:2])
    assert cut.value is None and "cut off" in cut.reason
    assert none.value is None and "no answer" in none.reason


def test_kept_answers_that_were_spoilt_are_told(stand_in, body, asked, tmp_path):
    judge = VisionJudge(stand_in.endpoint(), body, tmp_path)
    stand_in.answers = [says("Answer: walk")]
    judge.scores(asked[:1])
    (path,) = tmp_path.iterdir()
    held = read_json(path)
    write_json(path, held | {"question": "another"})
    with pytest.raises(InputError, match="answers another question; delete it"):
        judge.scores(asked[:1])
    write_json(path, [])
    with pytest.raises(InputError, match="holds no answer; delete it"):
        judge.scores(asked[:1])
    path.write_text("{")
    with pytest.raises(InputError):
        judge.scores(asked[:1])


def test_clips_that_cannot_be_shown_are_told_and_cost_nothing(stand_in, body, asked, tmp_path):
    long = dataclasses.replace(asked[0], motion=walking_motion(body, seconds=13, fps=5))
    none = dataclasses.replace(asked[0], motion=asked[0].motion[:0])
    judge = VisionJudge(stand_in.endpoint(), body, tmp_path)
    assert judge.estimate([long, none]).questions == 0
    found = judge.scores([long, none])
    assert [x.value for x in found] == [None, None]
    assert f"at most {vision_judge.MOST_PICTURES}" in found[0].reason
    assert not stand_in.asked
