// Requests to the service, with the tab's key; every failure becomes a sentence. Also small helpers for elements.

const KEY = "fgctl-key";

/** The data that the service rendered into the page. */
export const data = JSON.parse(document.getElementById("data").textContent);

/** A failure, as a sentence for the user. */
export class Problem extends Error {
  /** `status` is the HTTP status, 0 without a response; `body` has the error's further fields. */
  constructor(sentence, status = 0, body = {}) {
    super(sentence);
    this.status = status;
    this.body = body;
  }
}

export const LOST = "The connection to the service was lost. Check that it runs and that you are online, then try again.";

/** Send a request, with `body` as JSON, and return the response. Throws Problem, or AbortError when stopped. */
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
  const reply = await response.json().catch(() => ({}));
  throw new Problem(sentence(response, reply.error, key), response.status, reply.error);
}

/** Send a request and return the JSON of the response. Throws like `call`. */
export async function callJson(path, options) {
  const response = await call(path, options);
  return response.status === 204 ? null : response.json();
}

function sentence(response, error, key) {
  const message = error?.message ?? `The service answered ${response.status} without a message; see its log.`;
  const wait = Number(response.headers.get("retry-after"));
  switch (response.status) {
    case 401:
      return key
        ? "The service does not know this key. Enter another one with the button “Key” at the top."
        : "The service requires a key. Enter yours with the button “Key” at the top.";
    case 429:
    case 503:
      return wait ? `${message} Try again in ${wait === 1 ? "a second" : `${wait} seconds`}.` : message;
    default:
      return message;
  }
}

/** Create an element with properties, attributes (`attrs`) and children. */
export function make(tag, { attrs = {}, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(attrs)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Show a sentence in an element, or hide the element if there is none. */
export function show(element, text) {
  element.textContent = text ?? "";
  element.hidden = !text;
}

/** Show a question as a heading, in a smaller size if it is long. */
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
