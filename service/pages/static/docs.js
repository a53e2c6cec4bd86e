// The API reference: the service renders it; only the dialog for the key needs a script.

import "./call.js";
