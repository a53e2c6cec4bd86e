// The agreement page: tables that the service renders. A script fetches them, because a link cannot send a key.

import { call, show } from "./call.js";

const $ = (id) => document.getElementById(id);

async function load() {
  try {
    const response = await call("agreement/tables");
    // The service's own markup; it has escaped what people wrote.
    $("tables").innerHTML = await response.text();
    show($("problem"), null);
  } catch (error) {
    show($("problem"), error.message);
  }
  $("status").hidden = true;
}

window.addEventListener("key", load);
load();
