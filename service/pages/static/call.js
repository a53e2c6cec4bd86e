// Requests to the service: with the tab's key, and with every failure as a sentence.

const KEY = "fgctl-key";

/** What every page knows from the start. */
export const data = JSON.parse(document.getElementById("data").textContent);

/** Something that did not work, as a sentence for the person. */
export class Problem extends Error {
  /** `status` is HTTP's, 0 where there was no answer; `body` the error's further fields. */
  constructor(sentence, status = 0, body = {}) {
    super(sentence);
    this.status = status;
    this.body = body;
  }
}

export const LOST = "The connection to the service was lost. See that it runs and that you are online, then try again.";

/** The response to a request, JSON being sent where there is a body. Throws Problem, or AbortError when stopped. */
export async function call(path, { method = "GET", body, signal } = {}) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers.authorization = `Bearer ${key}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    const content = body === undefined ? undefined : JSON.stringify(body);
    response = await fetch(path, { method, headers, body: content, signal });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Problem(LOST);
  }
  if (response.ok) return response;
  const answered = await response.json().catch(() => ({}));
  throw new Problem(sentence(response, answered.error, key), response.status, answered.error);
}

/** The JSON that a request is answered with. Throws as `call`. */
export async function callJson(path, options) {
  const response = await call(path, options);
  return response.status === 204 ? null : response.json();
}

function sentence(response, error, key) {
  const said = error?.message ?? `The service answered ${response.status} without saying why; its log does.`;
  const wait = Number(response.headers.get("retry-after"));
  switch (response.status) {
    case 401:
      return key
        ? "The service does not know this key. Give it another one with the button “Key” at the top."
        : "The service asks for a key. Give it yours with the button “Key” at the top.";
    case 429:
    case 503:
      return wait ? `${said} Try again in ${wait === 1 ? "a second" : `${wait} seconds`}.` : said;
    default:
      return said;
  }
}

/** A new element with properties, attributes (`attrs`) and children. */
export function make(tag, { attrs = {}, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(attrs)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Show a sentence in an element, or hide it for none. */
export function show(element, text) {
  element.textContent = text ?? "";
  element.hidden = !text;
}

/** Show a question as a heading, a long one smaller. */
export function showQuestion(heading, question) {
  heading.textContent = question;
  heading.classList.toggle("long", question.length > 160);
}

const dialog = document.getElementById("key-dialog");
const input = document.getElementById("key");
const button = document.getElementById("key-button");

function showKey() {
  button.textContent = sessionStorage.getItem(KEY) ? "Key ✓" : "Key";
  button.setAttribute("aria-label", sessionStorage.getItem(KEY) ? "Key, given" : "Key, none given");
}

button.addEventListener("click", () => {
  input.value = sessionStorage.getItem(KEY) ?? "";
  dialog.returnValue = "";
  dialog.showModal();
});
dialog.addEventListener("close", () => {
  const key = input.value.trim();
  if (dialog.returnValue === "forget") sessionStorage.removeItem(KEY);
  if (dialog.returnValue === "save" && key) sessionStorage.setItem(KEY, key);
  input.value = "";
  showKey();
  if (dialog.returnValue) window.dispatchEvent(new Event("key"));
});
showKey();
