// The playground: one question, one or two preferences, answers with their scores.

import { call, callJson, data, LOST, make, Problem, show } from "./call.js";
import { events } from "./events.js";
import { scoreTable, showScored, showWhole } from "./scored.js";
import { LANGUAGES } from "./snippets.js";
import { percent, Triangle } from "./triangle.js";

const OWN = "own weights";
const NAMES = ["relevance", "factuality", "completeness"];
const PAUSE = 400;
/** Milliseconds that scores are waited for. */
const PATIENCE = 60_000;
const $ = (id) => document.getElementById(id);

/** One preference, and what was answered by it. */
class Panel {
  constructor(name, profile) {
    this.name = name;
    this.wanted = profile;
    this.preference = $("preference").content.cloneNode(true).firstElementChild;
    this.answer = $("answer").content.cloneNode(true).firstElementChild;
    const find = (selector) => this.answer.querySelector(selector);
    Object.assign(this, {
      title: find("h2"), problem: find(".problem"), text: find(".text"), facts: find(".facts"), judged: find(".judged"),
      table: find(".scroll"), copy: find(".copy"), choices: this.preference.querySelector(".choices"),
    });
    this.title.id = `title-${name}`;
    this.answer.setAttribute("aria-labelledby", this.title.id);
    this.text.id = `text-${name}`;
    this.choices.setAttribute("aria-label", `Profile ${name}`);
    this.table.setAttribute("aria-label", `All scores ${name}`);
    this.triangle = new Triangle(this.preference.querySelector(".triangle"), NAMES, () => this.choose(OWN));
    this.profiles = [];
    this.setProfiles([]);
    this.offerCopies();
  }

  /** The profiles that can be chosen, as GET /profiles has them. */
  setProfiles(profiles) {
    this.profiles = profiles;
    const placed = profiles.filter(({ weights }) => NAMES.every((name) => name in weights));
    this.triangle.mark(placed.map(({ weights }) => NAMES.map((name) => weights[name])));
    this.choices.replaceChildren(...[...profiles.map((p) => p.profile), OWN].map((name) => make("label", {},
      make("input", { type: "radio", name: `profile-${this.name}`, value: name, onchange: () => this.choose(name) }),
      make("span", { textContent: name }),
    )));
    this.choose(profiles.some((p) => p.profile === this.wanted) ? this.wanted : profiles[0]?.profile ?? OWN);
  }

  choose(name) {
    this.chosen = name;
    for (const radio of this.choices.querySelectorAll("input")) radio.checked = radio.value === name;
    const weights = this.profiles.find((p) => p.profile === name)?.weights;
    if (weights && NAMES.every((n) => n in weights)) this.triangle.set(NAMES.map((n) => weights[n]));
  }

  /** What is to be sent: the question, and the chosen profile or weights. */
  request() {
    const chosen = this.chosen === OWN ? { weights: this.triangle.weights.join(",") } : { profile: this.chosen };
    return { ...question(), ...chosen };
  }

  /** Ask and show what comes. Ends when all is shown; a failure is shown too. */
  async ask(signal) {
    this.answer.hidden = false;
    this.title.textContent = this.chosen === OWN ? `By ${this.triangle.words()}` : `As “${this.chosen}”`;
    this.judged.hidden = true;
    show(this.problem, null);
    show(this.facts, "");
    this.text.replaceChildren(make("p", { className: "words" }));
    this.text.setAttribute("aria-busy", "true");
    this.sent = this.request();
    this.showCopy();
    try {
      const { text, done } = await this.stream(signal);
      this.tell(done);
      await this.score(done.id, text, signal);
    } catch (error) {
      if (error.name === "AbortError") show(this.facts, "Stopped.");
      else show(this.problem, error instanceof Problem ? error.message : `${LOST} (${error.message})`);
    } finally {
      this.text.setAttribute("aria-busy", "false");
    }
  }

  async stream(signal) {
    const { question, passages, profile, weights } = this.sent;
    const query = new URLSearchParams(weights ? { weights } : { profile });
    const response = await call(`generate?${query}`, {
      method: "POST", body: { question, passages, stream: true }, signal,
    });
    const words = this.text.querySelector(".words");
    let text = "";
    try {
      for await (const { event, data: sent } of events(response)) {
        if (event === "error") throw new Problem(sent.error.message);
        if (event === "done") return { text, done: sent };
        text += sent.text;
        words.append(sent.text);
      }
    } catch (error) {
      if (error instanceof Problem || error.name === "AbortError") throw error;
    }
    throw new Problem("The connection was lost before the answer was complete. Ask again for the whole.");
  }

  tell(done) {
    const served = Object.entries(done.weights_served);
    const differs = served.some(([name, weight]) => Math.abs(weight - done.weights[name]) > 0.005);
    const parts = [
      `${done.policy.name}@${done.policy.version.slice(0, 6)}`,
      `${done.usage.completion_tokens} tokens`,
      ...(done.finish_reason === "length" ? ["cut at the most tokens allowed"] : []),
      ...(done.passages_cut ? ["passages were cut to fit"] : []),
      ...(differs ? [`served by the nearest weights: ${served.map(([n, w]) => `${n} ${percent(w)}`).join(", ")}`] : []),
    ];
    this.facts.textContent = parts.join(" · ");
  }

  async score(id, text, signal) {
    if (!this.sent.passages.length || !text) return;
    const facts = this.facts.textContent;
    this.facts.textContent = `${facts} · being judged …`;
    const deadline = Date.now() + PATIENCE;
    while (Date.now() < deadline) {
      const { scores, notes } = await callJson(`responses/${encodeURIComponent(id)}`, { signal });
      if (scores) {
        this.facts.textContent = [facts, ...(notes ?? [])].join(" · ");
        showScored(this.text, text, scores);
        showWhole(this.answer.querySelector(".whole"), scores);
        this.table.replaceChildren(scoreTable(text, scores));
        this.judged.hidden = false;
        return;
      }
      await pause(PAUSE, signal);
    }
    this.facts.textContent = `${facts} · not judged, as the reward models had too much to do`;
  }

  offerCopies() {
    const group = this.copy.querySelector(".languages");
    group.replaceChildren(...Object.keys(LANGUAGES).map((name) => make("button", {
      type: "button", textContent: name, onclick: () => { this.language = name; this.showCopy(); },
    })));
    this.language = "curl";
    this.copy.addEventListener("toggle", () => this.showCopy());
    this.copy.querySelector(".copy-button").addEventListener("click", async (event) => {
      const code = this.copy.querySelector("pre");
      const copied = await navigator.clipboard?.writeText(code.textContent).then(() => true, () => false);
      if (!copied) getSelection().selectAllChildren(code);
      event.target.textContent = copied ? "Copied" : "Selected: press Ctrl+C";
      setTimeout(() => { event.target.textContent = "Copy"; }, 2500);
    });
  }

  showCopy() {
    if (!this.copy.open) return;
    for (const button of this.copy.querySelectorAll(".languages button")) {
      button.setAttribute("aria-pressed", button.textContent === this.language);
    }
    const base = new URL(".", location.href).href.replace(/\/$/, "");
    const keyed = sessionStorage.getItem("fgctl-key") !== null;
    this.copy.querySelector("pre").textContent = LANGUAGES[this.language](this.sent, base, keyed);
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}

function addPassage({ title, text } = { title: "", text: "" }) {
  const node = $("passage").content.cloneNode(true).firstElementChild;
  node.querySelector(".title").value = title;
  node.querySelector(".text").value = text;
  node.querySelector(".remove").addEventListener("click", () => {
    node.remove();
    renumber();
    $("add-passage").focus();
  });
  $("passages").append(node);
  renumber();
  return node;
}

function renumber() {
  [...$("passages").children].forEach((node, i) => {
    node.querySelector(".title").setAttribute("aria-label", `Title of passage ${i + 1}`);
    node.querySelector(".text").setAttribute("aria-label", `Text of passage ${i + 1}`);
    node.querySelector(".remove").setAttribute("aria-label", `Remove passage ${i + 1}`);
  });
}

function question() {
  const passages = [...$("passages").children].map((node) => ({
    title: node.querySelector(".title").value.trim(),
    text: node.querySelector(".text").value.trim(),
  }));
  return { question: $("question").value.trim(), passages: passages.filter(({ text }) => text) };
}

function useExample(example) {
  $("question").value = example?.question ?? "";
  $("passages").replaceChildren();
  for (const passage of example?.passages ?? [{ title: "", text: "" }]) addPassage(passage);
}

const panels = [new Panel("a", "medium"), new Panel("b", "short")];
let running = null;

function arrange() {
  const two = $("both").checked;
  const shown = panels.slice(0, two ? 2 : 1);
  for (const [id, part] of [["preferences", "preference"], ["answers", "answer"]]) {
    $(id).classList.toggle("two", two);
    $(id).replaceChildren(...shown.map((panel) => panel[part]));
  }
}

async function loadProfiles() {
  try {
    const { profiles, default: usual } = await callJson("profiles");
    for (const [i, panel] of panels.entries()) {
      if (i === 0) panel.wanted = usual;
      panel.setProfiles(profiles);
    }
    if (!profiles.length) throw new Problem("The service is still starting; profiles can be chosen in about half a minute.");
    show($("problem"), null);
  } catch (error) {
    show($("problem"), error.message);
  }
}

async function ask() {
  running?.abort();
  running = new AbortController();
  const mine = running;
  $("stop").hidden = false;
  show($("problem"), null);
  $("said").textContent = "Asked; the answer is being written.";
  const asked = panels.slice(0, $("both").checked ? 2 : 1);
  await Promise.all(asked.map((panel) => panel.ask(mine.signal)));
  if (mine !== running) return;
  $("stop").hidden = true;
  const failed = asked.some((panel) => !panel.problem.hidden);
  $("said").textContent = failed ? "There was a problem." : "The answer is complete.";
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
$("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("ask").requestSubmit();
  }
});
$("stop").addEventListener("click", () => running?.abort());
$("both").addEventListener("change", arrange);
$("add-passage").addEventListener("click", () => addPassage().querySelector(".title").focus());
$("example").addEventListener("change", () => useExample(data.examples[$("example").value]));
window.addEventListener("key", loadProfiles);
useExample(data.examples[0]);
arrange();
loadProfiles();
