// The playground: one question, one or two preferences, and an answer with scores for each.

import { callJson, data, Problem, show } from "./call.js";
import "./keys.js";
import { Panel } from "./panel.js";

const $ = (id) => document.getElementById(id);

function addPassage({ title, text } = { title: "", text: "" }) {
  const node = $("passage").content.cloneNode(true).firstElementChild;
  node.querySelector(".title").value = title;
  node.querySelector(".text").value = text;
  node.querySelector(".remove").addEventListener("click", () => {
    node.remove();
    renumber();
    checkQuestion();
    $("add-passage").focus();
  });
  $("passages").append(node);
  renumber();
  checkQuestion();
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
  checkQuestion();
}

/** Mark answers that are to another question than the one on the page. */
function checkQuestion() {
  for (const panel of panels) panel.checkQuestion(question());
}

const panels = [new Panel("a"), new Panel("b", "short")];
let running = null;
/** Whether the profiles could be loaded: a question waits for that. Null after a failure, to load them again. */
let loading;

function arrange() {
  const two = $("both").checked;
  const shown = panels.slice(0, two ? 2 : 1);
  for (const [id, part] of [["preferences", "preference"], ["answers", "answer"]]) {
    $(id).classList.toggle("two", two);
    $(id).replaceChildren(...shown.map((panel) => panel[part]));
  }
}

/** Load the profiles; false, with a sentence on the page, if they cannot be loaded. */
async function loadProfiles() {
  try {
    const { profiles, default: defaultProfile } = await callJson("profiles");
    if (!profiles.length) throw new Problem("The service is still starting; ask again in about half a minute.");
    panels[0].wanted ??= defaultProfile;
    for (const panel of panels) panel.setProfiles(profiles);
    show($("problem"), null);
    return true;
  } catch (error) {
    loading = null;
    show($("problem"), `The profiles could not be loaded. ${error.message}`);
    return false;
  }
}

async function ask() {
  running?.abort();
  running = new AbortController();
  const mine = running;
  $("stop").hidden = false;
  $("said").textContent = "Asked. The answer is being written.";
  loading ??= loadProfiles();
  const loaded = await loading;
  if (mine !== running) return;
  if (!loaded) {
    $("stop").hidden = true;
    $("said").textContent = "There was a problem.";
    return;
  }
  const asked = panels.slice(0, $("both").checked ? 2 : 1);
  const answers = asked.map((panel) => panel.ask(question(), mine.signal));
  bringIntoSight($("answers"));
  await Promise.all(answers);
  if (mine !== running) return;
  $("stop").hidden = true;
  const failed = asked.some((panel) => !panel.problem.hidden);
  $("said").textContent = failed ? "There was a problem." : "The answer is complete.";
}

/** Scroll to what begins below the lower half of the window, as answers do on a phone. */
function bringIntoSight(element) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (element.getBoundingClientRect().top > innerHeight / 2) {
    element.scrollIntoView({ behavior: calm ? "instant" : "smooth" });
  }
}

$("ask").addEventListener("input", checkQuestion);
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
$("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    if (!event.repeat) $("ask").requestSubmit();
  }
});
$("stop").addEventListener("click", () => running?.abort());
$("both").addEventListener("change", arrange);
$("add-passage").addEventListener("click", () => addPassage().querySelector(".title").focus());
$("example").addEventListener("change", () => useExample(data.examples[$("example").value]));
window.addEventListener("key", () => { loading = loadProfiles(); });
useExample(data.examples[0]);
arrange();
loading = loadProfiles();
