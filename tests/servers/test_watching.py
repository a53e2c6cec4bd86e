"""From a response to a page at night: the real service, Prometheus and Alertmanager, under traffic on three profiles.

An hour passes in a minute and a half (deploy.monitoring.lookback_windows.Timing); everything else is as it is deployed.
First all is well: every query of every dashboard, every rule and every series in an alert must have a value, and nobody
may be notified of anything. Then a policy that was degraded on purpose is promoted.
"""

import asyncio
import json
import random
import re
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from safetensors.torch import load_file, save_file

from deploy.monitoring import generated_files as files
from deploy.monitoring.alerts.alert_groups import all_alerts
from deploy.monitoring.dashboards.panel_queries import panel_queries
from deploy.monitoring.lookback_windows import MINUTE, Timing
from deploy.monitoring.recording.recording_groups import recording_groups
from policies.promotion.sequential import MIN_RESPONSES
from policies.store import ADAPTER, MANIFEST, SFT, Decoding, PolicyStore
from rewards.categories import BUILT_IN, TOXICITY
from rewards.dataset import SAMPLE, load_examples
from rewards.scorer import Scorer
from service.domain.caller import Limits
from service.edge.keys import KeyFile

pytestmark = pytest.mark.timeout(2400)
TIMING = Timing(scale=1 / 40, counts=0.1, scrape=1.0)
"""Much faster, and a busy machine would scrape and score too little in the shortest windows."""
PROFILES = ("short", "medium", "long")
DEPLOY = files.ROOT / "deploy"
TOKENS = 32
"""Of an answer, each to a question with one passage: a slow machine must give the canary's arms their answers too."""
BATCH = 2
"""Answers scored in one call: few, so that on a busy machine scores come steadily."""
CALLERS = 40
"""Keys, so many that a canary and its incumbent get about half of them each."""


class Receiver:
    """What Alertmanager notifies."""

    def __init__(self):
        received = self.received = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                content = json.loads(self.rfile.read(int(self.headers["content-length"])))
                received.extend((self.path, alert) for alert in content["alerts"] if alert["status"] == "firing")
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self):
        """Who was told of what: path, alert's name, profile and policy."""
        return {
            (path, alert["labels"]["alertname"], alert["labels"].get("profile"), alert["labels"].get("policy"))
            for path, alert in self.received
        }


class Traffic:
    """Clients in a thread of their own. Each asks again once its answer is scored, so that scoring always keeps up."""

    def __init__(self, url, keys, clients=10):
        self.url, self.keys = url, keys
        # Twice as many are for the profile whose canary is tried.
        self.profiles = (*PROFILES, "medium")
        self.statuses = Counter()
        self._stop = threading.Event()
        self._clients = clients
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join(60)

    async def _run(self):
        examples = [example for example in load_examples(SAMPLE / "train.json") if example.passages]
        # Drawn apart, so that no profile and no caller, and so no arm of the canary, has questions of its own.
        draw = random.Random(0)  # noqa: S311  # nothing depends on it but which question comes when
        asked = ((draw.choice(examples), draw.choice(self.profiles), draw.choice(self.keys), n) for n in count())
        async with httpx.AsyncClient(base_url=self.url, timeout=120) as client:
            await asyncio.gather(*(self._ask(client, asked) for _ in range(self._clients)))

    async def _ask(self, client, asked):
        for example, profile, key, number in asked:
            if self._stop.is_set():
                return
            body = {
                "question": example.question,
                "passages": [example.passages[0].model_dump()],
                "max_tokens": TOKENS,
            }
            query = {"profile": profile}
            if number % 20 == 10:
                query = {"weights": "0.5,0.3,0.2" if number % 40 == 10 else "0.2,0.6,0.2"}
            elif number % 20 == 15:
                body["best_of"] = 2
            headers = {"x-api-key": key}
            reply = await client.post("/generate", json=body, params=query, headers=headers)
            self.statuses[reply.status_code] += 1
            while not self._stop.is_set() and reply.status_code == 200:
                judged = await client.get(f"/responses/{reply.json()['id']}", headers=headers)
                if judged.json()["scores"]:
                    break
                await asyncio.sleep(0.1)


class Watched:
    """The service, what watches it, and who is told."""

    def __init__(self, store, server, traffic, receiver, prometheus, admin, annotators):
        self.store, self.server, self.traffic = store, server, traffic
        self.receiver, self.prometheus = receiver, prometheus
        self.admin, self.annotators = admin, annotators

    def query(self, expression):
        reply = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": expression}, timeout=30).json()
        assert reply["status"] == "success", (expression, reply)
        return reply["data"]["result"]

    def metrics(self):
        text = httpx.get(f"{self.server.url}/metrics", timeout=30).text
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def total(self, name, **labels):
        return sum(s.value for s in self.metrics() if s.name == name and labels.items() <= s.labels.items())

    def reload(self):
        reply = httpx.post(f"{self.server.url}/admin/reload", headers={"x-api-key": self.admin}, timeout=120)
        assert reply.status_code == 200, reply.text


def asked_twice(url, key):
    """The ids of two profiles' answers to one question."""
    example = next(example for example in load_examples(SAMPLE / "train.json") if example.passages)
    body = {"question": example.question, "passages": [example.passages[0].model_dump()]}
    with httpx.Client(base_url=url, headers={"x-api-key": key}, timeout=120) as client:
        replies = [
            client.post(f"/generate?profile={profile}", json=body | {"max_tokens": TOKENS}) for profile in PROFILES[:2]
        ]
    return [reply.raise_for_status().json()["id"] for reply in replies]


def annotate(url, key, pair, answers=3):
    """Two people judge some scored answers. They agree on the first word, and one of them knows more of the last.

    One of them also compares a pair, skips an answer and gives a thumb.
    """
    with httpx.Client(base_url=url, headers={"x-api-key": key}, timeout=30) as client:

        def post(path, **body):
            reply = client.post(f"/annotation/{path}", json=body)
            assert reply.status_code == 200, reply.text
            return reply.json()

        post("pairs", annotator="Bob")  # which makes him known
        for number in range(answers):
            response = post("next", annotator="Ada", order="error_rate")["response"]
            text = response["text"]
            first, *_, last = re.finditer(r"\S+", text)
            wrong = {"label": "Irrelevant", "start": first.start(), "end": first.end()}
            more = {"label": "Unverifiable", "start": last.start(), "end": last.end()}
            for name, errors in (("Ada", [wrong]), ("Bob", [wrong, more])):
                post(
                    "submit", submission_id=f"{name} {number}", response_id=response["id"], annotator=name,
                    errors=errors, corrected="In other words.",
                )  # fmt: skip
        again = post("next", annotator="Ada", order="uncertain")["response"]["id"]
        post("skip", annotator="Ada", response_id=again, reason="The passages are broken")
        thumb = client.post(f"/responses/{again}/feedback", json={"submission_id": "thumb", "thumb": 1})
        assert thumb.status_code == 200, thumb.text
        ids = {"a": pair[0], "b": pair[1]}
        post("compare", submission_id="choice", annotator="Ada", choice="a", **ids)
        # Whoever asks for the agreement has it computed, and Prometheus sees it too.
        agreed = client.get("/annotation/agreement").json()
    assert agreed["people"]["categories"]["relevance"]["alpha"] == 1
    assert agreed["models"]["relevance"]["alpha"] is not None


def wait_until(true, seconds, progress):
    """Wait as long as there is progress: fail once what `progress` returns has stayed the same for so many seconds."""
    last, deadline = None, 0.0
    while not (result := true()):
        current = repr(progress())
        if current != last:
            last, deadline = current, time.monotonic() + seconds
        assert time.monotonic() < deadline, f"nothing new within {seconds} s: {current}"
        time.sleep(1)
    return result


def changed(store, profile, directory, change):
    """A version of a profile's current policy with every tensor of its adapter changed."""
    version = store.profile(profile).version
    shutil.copytree(store.path(profile, version), directory)
    file = directory / ADAPTER
    save_file({name: change(tensor) for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    manifest = store.manifest(profile, version).model_copy(update={"scores": {}})
    fields = manifest.model_dump(exclude={"profile", "version", "digest", "created", "fgctl"})
    return store.write(profile, directory, fields | {"weights": manifest.weights}).version


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The three profiles and their parent, of which none has been evaluated by the decoding it is served with."""
    mine, shipped = PolicyStore(tmp_path_factory.mktemp("watching") / "policies"), PolicyStore()
    for name in (SFT, *PROFILES):
        version = shipped.profile(name).version
        shutil.copytree(shipped.path(name, version), mine.path(name, version))
        # What is asked here is not what they were evaluated on, which would rightly be told.
        manifest = mine.path(name, version) / MANIFEST
        content = json.loads(manifest.read_text())
        content["scores"].pop("served", None)
        manifest.write_text(json.dumps(content))
        mine.promote(name, version)
    return mine


@pytest.fixture(scope="module")
def watched(store, start, program, tmp_path_factory):
    directory = tmp_path_factory.mktemp("watched")
    keys = KeyFile(directory / "keys.toml")
    callers = [keys.add(f"client {number}", ["generate"], Limits())[1] for number in range(CALLERS)]
    admin = keys.add("admin", ["admin"], Limits())[1]
    annotators = keys.add("annotators", ["feedback"], Limits())[1]
    store.set_canary("medium", changed(store, "medium", directory / "canary", lambda tensor: tensor * 0.99), 0.5)
    receiver = Receiver()
    with ExitStack() as stack:
        server = start(
            FGCTL_POLICIES=str(store.root),
            FGCTL_KEYS=str(directory / "keys.toml"),
            FGCTL_MIXTURES=str(directory / "mixtures"),
            FGCTL_FEEDBACK_STORE=f"sqlite:///{directory / 'feedback.db'}",
            FGCTL_SCORING_BATCH=str(BATCH),
        )
        stack.callback(ended, server.process)
        alertmanager = start_alertmanager(stack, program, directory, receiver)
        prometheus = start_prometheus(stack, program, directory, server.url, alertmanager)
        traffic = Traffic(server.url, callers)
        stack.callback(traffic.stop)
        yield Watched(store, server, traffic, receiver, prometheus, admin, annotators)


def ended(process):
    process.terminate()
    process.wait(60)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_server(stack, log, url, *command):
    """A server that is ready, and ends with the stack."""
    process = subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT)
    stack.callback(ended, process)

    def ready():
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"{url}/-/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(ready, 60, log.read_text)


def start_alertmanager(stack, program, directory, receiver):
    """Alertmanager as it is deployed, but for whom it tells and how long it waits for more to tell."""
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    config["route"] |= {"group_wait": "2s", "group_interval": "2s"}
    text = yaml.safe_dump(config).replace("http://127.0.0.1:9099", receiver.address)
    (directory / "alertmanager.yml").write_text(text)
    address = f"127.0.0.1:{free_port()}"
    run_server(
        stack, directory / "alertmanager.log", f"http://{address}", program("alertmanager"),
        f"--config.file={directory / 'alertmanager.yml'}", f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address={address}", "--cluster.listen-address=",
    )  # fmt: skip
    return address


def start_prometheus(stack, program, directory, service, alertmanager):
    """Prometheus as it is deployed, but for whom it watches and how fast time passes."""
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    for name, text in files.rule_files(TIMING).items():
        (directory / name).write_text(text)
    (directory / "targets").mkdir()
    for name, target in (("fgctl", service.removeprefix("http://")), ("alertmanager", alertmanager)):
        (directory / f"targets/{name}.yml").write_text(yaml.safe_dump([{"targets": [target]}]))
    address = f"127.0.0.1:{free_port()}"
    run_server(
        stack, directory / "prometheus.log", f"http://{address}", program("prometheus"),
        f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}", "--enable-feature=exemplar-storage",
    )  # fmt: skip
    return f"http://{address}"


@pytest.fixture(scope="module")
def well(watched):
    """After some minutes of the rules' time in which all was well, with what is scored now as every version's baseline.

    The baselines are of the very questions that are asked, as those of production are meant to be.
    """
    served = [(name, watched.store.profile(name).version) for name in PROFILES]

    def scored():
        return min(watched.total("fg_responses_scored_total", profile=name) for name in PROFILES) >= 25

    wait_until(scored, 120, lambda: watched.traffic.statuses)
    url = watched.server.url
    annotate(url, watched.annotators, asked_twice(url, watched.traffic.keys[0]))
    samples = watched.metrics()
    judged_by = {"rewards": Scorer.load().version, "decoding": Decoding().model_dump()}
    for profile, version in served:
        watched.store.record_served(profile, version, judged_by | baseline(samples, profile, version))
    watched.reload()
    arms = [("medium", arm) for arm in ("canary", "incumbent")]

    def judged():
        return all(
            watched.total("fg_canary_responses_total", profile=profile, arm=arm) >= MIN_RESPONSES
            for profile, arm in arms
        )

    wait_until(judged, 120, lambda: watched.traffic.statuses)
    time.sleep(TIMING.seconds(5 * MINUTE))
    return watched


def baseline(samples, profile, version):
    """What `fgctl evaluate --sampled --record` keeps, of what a service has scored."""
    mine = [s for s in samples if s.labels.get("profile") == profile and s.labels.get("policy") == version]

    def by(name, *labels):
        sums = defaultdict(float)
        for sample in mine:
            if sample.name == name:
                sums[tuple(sample.labels[label] for label in labels)] += sample.value
        return sums

    def ratios(name, kind):
        shares = defaultdict(dict)
        totals = by(name, kind)
        for (what, bin_), value in by(name, kind, "bin").items():
            shares[what][bin_] = value / max(1, totals[what,])
        return shares

    segments = by("fg_segments_scored_total", "category")
    errors = by("fg_segment_errors_total", "category")
    return {
        "responses": by("fg_responses_scored_total")[()],
        "questions": by("fg_responses_scored_total")[()],
        "segments": {category: value for (category,), value in segments.items()},
        "error_ratio": {category: errors[category,] / max(1, value) for (category,), value in segments.items()},
        "score_ratio": ratios("fg_score_bin_total", "category"),
        "input_ratio": ratios("fg_input_bin_total", "input"),
    }


def test_every_query_of_every_dashboard_has_an_answer(well):
    left = list(panel_queries("10s", "2m"))

    def answered():
        left[:] = [query for query in left if not well.query(query.expression)]
        return not left

    wait_until(answered, 120, lambda: left)


def lately(well, name):
    """The last values of a series while there was traffic: in ten seconds a slow machine may answer nobody."""
    return well.query(f"last_over_time({name}[3m])")


def test_every_recorded_series_has_a_value(well):
    names = {record.name for group in recording_groups(TIMING) for record in group.rules}
    assert not [name for name in names if not lately(well, name)]


def test_every_alert_looks_at_something(well):
    """An alert's expression has no answer when all is well, so each series in it must have one."""
    empty = set()
    for alert in all_alerts(TIMING):
        selectors = set(re.findall(r"fg[_:][\w:]+(?:\{[^}]*\})?|up\{[^}]*\}", alert.expr))
        assert selectors, alert.name
        if alert.name == "FgctlSinkLost":  # this service sends its scores nowhere
            continue
        # Of what only some budgets, or some reasons, match, the name alone must be there.
        empty |= {(alert.name, selector) for selector in selectors if not lately(well, selector.partition("{")[0])}
    assert not empty


def test_a_rate_leads_to_the_answer_behind_it(well):
    now = time.time()
    asked = {"query": "fg_score_bin_total", "start": now - 120, "end": now}
    exemplars = httpx.get(f"{well.prometheus}/api/v1/query_exemplars", params=asked, timeout=30).json()["data"]
    ids = {exemplar["labels"]["response"] for series in exemplars for exemplar in series["exemplars"]}
    assert ids
    reply = httpx.get(f"{well.server.url}/responses/{ids.pop()}", headers={"x-api-key": well.traffic.keys[0]})
    assert reply.status_code == 200
    assert reply.json()["scores"]


def test_what_was_offered_adds_up_in_prometheus_too(well):
    left = " - ".join(
        f"sum by (profile) ({name}{{profile=~'short|medium|long'}})"
        for name in ("fg_scoring_offered_total", "fg_responses_scored_total", "fg_scoring_dropped_total")
    )
    waiting = {entry["metric"]["profile"]: float(entry["value"][1]) for entry in well.query(left)}
    assert set(waiting) == set(PROFILES)
    ((_, queued),) = (entry["value"] for entry in well.query("sum(fg_scoring_queue_depth)"))
    assert min(waiting.values()) >= 0
    assert float(queued) <= sum(waiting.values()) <= float(queued) + BATCH


def test_the_canary_is_shown_with_its_evidence(well):
    done = well.server.fgctl("policies", "canary", "medium", "--service", well.server.url, "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["verdict"] == "undecided"
    drawn = {
        entry["metric"]["category"]: float(entry["value"][1])
        for entry in well.query('fg:canary_difference{profile="medium"}')
    }
    assert set(shown["categories"]) == set(drawn) == {*BUILT_IN, TOXICITY}
    for name, entry in shown["categories"].items():
        assert entry["radius"] is not None
        assert entry["canary"] - entry["incumbent"] == pytest.approx(drawn[name], abs=0.1)  # some answers later


def test_nobody_is_told_of_anything_while_all_is_well(well):
    assert set(well.traffic.statuses) == {200}
    assert well.receiver.told() == set()
    assert well.query('ALERTS{alertstate="firing"}') == []


def test_a_degraded_policy_is_told_of_and_nothing_else(well, tmp_path):
    degraded = changed(well.store, "long", tmp_path / "degraded", lambda tensor: tensor * 8)
    well.store.promote("long", degraded, "degraded on purpose", force=True)
    well.traffic.profiles = ("long",)
    right = {("FgctlErrorBudgetBurnFast", "long", degraded)}
    scored = partial(well.total, "fg_responses_scored_total", profile="long", policy=degraded)
    wait_until(well.receiver.told, 120, lambda: min(scored(), 300))  # so many are more than enough
    time.sleep(TIMING.seconds(15 * MINUTE))  # for whatever else might follow
    told = well.receiver.told()
    assert {entry[1:] for entry in told} == right
    assert "factuality" in {alert["labels"]["category"] for _, alert in well.receiver.received}
    assert ("/page", *next(iter(right))) in told
