// One preference in the playground, and its answer with scores.

import { call, callJson, data, LOST, make, Problem, show } from "./call.js";
import { events } from "./events.js";
import { scoreTable, showScored, showWhole } from "./scored.js";
import { LANGUAGES } from "./snippets.js";
import { offerThumbs } from "./thumbs.js";
import { percent, Triangle } from "./triangle.js";

const OWN = "own weights";
const NAMES = ["relevance", "factuality", "completeness"];
/** Milliseconds between two requests for scores. */
const PAUSE = 400;
/** Milliseconds to wait for scores. */
const PATIENCE = 60_000;
const template = (id) => document.getElementById(id).content.cloneNode(true).firstElementChild;

export class Panel {
  /** `wanted` is the profile to begin with; afterwards, what the user has chosen. */
  constructor(name, wanted) {
    this.name = name;
    this.wanted = wanted;
    this.preference = template("preference");
    this.answer = template("answer");
    const find = (selector) => this.answer.querySelector(selector);
    Object.assign(this, {
      title: find("h2"), problem: find(".problem"), outdated: find(".outdated"), text: find(".text"), facts: find(".facts"), judged: find(".judged"),
      table: find(".scroll"), copy: find(".copy"), thumbs: find(".thumbs"), choices: this.preference.querySelector(".choices"),
      legend: this.answer.querySelectorAll(".legend [data-category]"),
    });
    this.title.id = `title-${name}`;
    this.answer.setAttribute("aria-labelledby", this.title.id);
    this.text.id = `text-${name}`;
    this.choices.setAttribute("aria-label", `Profile ${name}`);
    this.table.setAttribute("aria-label", `All scores ${name}`);
    this.triangle = new Triangle(this.preference.querySelector(".triangle"), NAMES, {
      onMove: () => this.pick(OWN), onPick: (name) => this.pick(name),
    });
    this.profiles = [];
    this.setProfiles([]);
    this.offerCopies();
  }

  /** Set the profiles to choose from, in the shape of GET /profiles. */
  setProfiles(profiles) {
    this.profiles = profiles;
    const placed = profiles.filter(({ weights }) => inTriangle(weights));
    this.triangle.mark(placed.map(({ profile, weights }) => ({ name: profile, weights: NAMES.map((name) => weights[name]) })));
    const names = [...profiles.map((p) => p.profile), OWN];
    this.choices.replaceChildren(...names.map((name) => make("label", {},
      make("input", { type: "radio", name: `profile-${this.name}`, value: name, onchange: () => this.pick(name) }),
      make("span", { textContent: name }),
    )));
    this.choose(names.includes(this.wanted) ? this.wanted : names[0]);
  }

  /** What the user chooses, which stays chosen when profiles are loaded again. */
  pick(name) {
    this.wanted = name;
    this.choose(name);
  }

  choose(name) {
    this.chosen = name;
    for (const radio of this.choices.querySelectorAll("input")) radio.checked = radio.value === name;
    const weights = this.profiles.find((p) => p.profile === name)?.weights;
    if (weights && inTriangle(weights)) this.triangle.set(NAMES.map((n) => weights[n]));
  }

  /** Ask `{question, passages}` and show the answer and its scores, or the failure. */
  async ask(question, signal) {
    this.signal = signal;
    this.answer.hidden = false;
    this.title.textContent = this.chosen === OWN ? `With ${this.triangle.words()}` : `Profile “${this.chosen}”`;
    this.judged.hidden = true;
    show(this.problem, null);
    show(this.facts, "");
    this.text.replaceChildren(make("p", { className: "words", dir: "auto" }));
    this.text.setAttribute("aria-busy", "true");
    this.thumbs.replaceChildren();
    this.question = question;
    this.checkQuestion(question);
    this.sent = { ...question, ...(this.chosen === OWN ? { weights: this.triangle.weights.join(",") } : { profile: this.chosen }) };
    this.showCopy();
    try {
      const { text, done } = await this.stream(signal);
      this.tell(done);
      offerThumbs(this.thumbs, done.id);
      await this.score(done.id, text, signal);
    } catch (error) {
      if (signal !== this.signal) return; // another question is being answered here
      if (error.name === "AbortError") show(this.facts, "Stopped.");
      else show(this.problem, error instanceof Problem ? error.message : `${LOST} (${error.message})`);
    } finally {
      if (signal === this.signal) this.text.setAttribute("aria-busy", "false");
    }
  }

  /** Say so if the answer shown is to another question than the one on the page. */
  checkQuestion(current) {
    const differs = Boolean(this.question) && JSON.stringify(current) !== JSON.stringify(this.question);
    show(this.outdated, differs
      ? `An answer to what was asked before: “${this.question.question}”${current.question === this.question.question ? " with other passages" : ""}.`
      : null);
    this.answer.classList.toggle("old", differs);
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
    throw new Problem("The connection was lost before the answer was complete. Ask again for the complete answer.");
  }

  tell(done) {
    const served = Object.entries(done.weights_served);
    const differs = served.some(([name, weight]) => Math.abs(weight - done.weights[name]) > 0.005);
    const parts = [
      `${done.policy.name}@${done.policy.version.slice(0, 6)}`,
      `${done.usage.completion_tokens} tokens`,
      ...(done.finish_reason === "length" ? ["cut at the token limit"] : []),
      ...(done.passages_cut ? ["passages cut to fit"] : []),
      ...(differs ? [`served with the nearest weights: ${served.map(([n, w]) => `${n} ${percent(w)}`).join(", ")}`] : []),
    ];
    show(this.facts, parts.join(" · "));
  }

  async score(id, text, signal) {
    const facts = this.facts.textContent;
    const lacking = lackedBy(this.sent);
    const reasons = Object.entries(lacking).map(([need, names]) => `not judged: no ${need} (${names.join(", ")})`);
    const unjudged = Object.values(lacking).flat().length === Object.keys(data.categories).length;
    if (!text.trim() || unjudged) {
      this.facts.textContent = [facts, ...(text.trim() ? reasons : ["not judged: the answer is empty"])].join(" · ");
      return;
    }
    this.facts.textContent = `${facts} · being scored …`;
    const deadline = Date.now() + PATIENCE;
    while (Date.now() < deadline) {
      const { scores, notes } = await callJson(`responses/${encodeURIComponent(id)}`, { signal });
      if (scores) {
        this.facts.textContent = [facts, ...reasons, ...(notes ?? [])].join(" · ");
        for (const entry of this.legend) entry.hidden = !scores[entry.dataset.category];
        showScored(this.text, text, scores);
        showWhole(this.answer.querySelector(".whole"), scores);
        this.table.replaceChildren(scoreTable(text, scores));
        this.judged.hidden = false;
        return;
      }
      await pause(PAUSE, signal);
    }
    this.facts.textContent = `${facts} · not scored, because the reward models were too busy`;
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

/** Whether the triangle's categories have all of the weight. */
const inTriangle = (weights) => NAMES.reduce((sum, name) => sum + (weights[name] ?? 0), 0) > 0.99;

/** What an answer comes without, with the names of the categories that need it: `{passages: ["relevance", …]}`. */
function lackedBy({ question, passages }) {
  const has = { nothing: true, question: Boolean(question), passages: passages.length > 0 };
  const lacking = {};
  for (const [name, { needs }] of Object.entries(data.categories)) if (!has[needs]) (lacking[needs] ??= []).push(name);
  return lacking;
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}
