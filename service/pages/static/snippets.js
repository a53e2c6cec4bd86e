// The code that sends a request {question, passages, and profile or weights}.

/** The code in each language; `base` is the service's URL, `keyed` whether it requires a key. */
export const LANGUAGES = { curl, Python: python, "OpenAI client": openai };

function curl(request, base, keyed) {
  const query = new URLSearchParams(chosen(request)).toString().replaceAll("%2C", ",");
  const body = JSON.stringify(asked(request), null, 1).replaceAll("'", "'\\''");
  return [
    `curl '${base}/generate?${query}' \\`,
    "  -H 'content-type: application/json' \\",
    ...(keyed ? ['  -H "authorization: Bearer $FGCTL_API_KEY" \\'] : []),
    `  -d '${body}'`,
  ].join("\n");
}

function python(request, base, keyed) {
  return [
    ...(keyed ? ["import os", ""] : []),
    "import httpx",
    "",
    "answer = httpx.post(",
    `    ${JSON.stringify(`${base}/generate`)},`,
    `    params=${JSON.stringify(chosen(request))},`,
    ...(keyed ? ["    headers={\"authorization\": f\"Bearer {os.environ['FGCTL_API_KEY']}\"},"] : []),
    `    json=${literal(asked(request), 4)},`,
    "    timeout=120,",
    ")",
    'print(answer.raise_for_status().json()["text"])',
  ].join("\n");
}

function openai(request, base, keyed) {
  const { question, passages } = asked(request);
  const model = request.weights ? `weights:${request.weights}` : request.profile;
  return [
    ...(keyed ? ["import os", ""] : []),
    "import openai",
    "",
    `client = openai.OpenAI(base_url=${JSON.stringify(`${base}/v1`)}, api_key=${keyed ? 'os.environ["FGCTL_API_KEY"]' : '"none"'})`,
    "answer = client.chat.completions.create(",
    `    model=${JSON.stringify(model)},`,
    `    messages=[{"role": "user", "content": ${JSON.stringify(question)}}],`,
    `    extra_body={"passages": ${literal(passages, 4)}},`,
    ")",
    "print(answer.choices[0].message.content)",
  ].join("\n");
}

function asked({ question, passages }) {
  return { question, passages };
}

function chosen({ profile, weights }) {
  return weights ? { weights } : { profile };
}

/** A literal of strings, lists and objects, which JSON and Python write alike. */
function literal(value, indent) {
  return JSON.stringify(value, null, 4).replaceAll("\n", `\n${" ".repeat(indent)}`);
}
