// The console's API, as this page asks it. The browser holds the session; this script never sees it.

export class Refused extends Error {
  constructor(status, sentence, value = null) {
    super(sentence);
    this.status = status;
    this.value = value;
  }
}

async function call(method, path, body) {
  const options = { method, credentials: "same-origin", cache: "no-store", headers: { "x-console": "1" } };
  if (body !== undefined) {
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused(0, "The console does not answer. It may be restarting; this page keeps trying.");
  }
  const text = await answer.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch { /* not ours: a proxy's page, say */ }
  if (!answer.ok) {
    if (answer.status === 401 && path !== "/api/session") document.dispatchEvent(new Event("signed-out"));
    throw new Refused(answer.status, value?.error ?? `The console answered ${answer.status}.`, value);
  }
  return value;
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);
export const remove = (path) => call("DELETE", path);

/** `null` where this version has no such address. */
export async function getIfThere(path) {
  try {
    return await get(path);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}
