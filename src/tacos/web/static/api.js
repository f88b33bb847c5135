// Asks the server that this page came from.

/** The answer to a GET; an Error with one line of what is wrong. */
export async function getJson(path, params = {}, signal = undefined) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value === null || value === undefined || value === "" || value === false) continue;
    query.append(name, value);
  }
  const text = query.toString();
  return await ask(text ? `${path}?${text}` : path, { signal });
}

/** The answer to a POST of a value as JSON. */
export async function postJson(path, value, signal = undefined) {
  const headers = { "Content-Type": "application/json" };
  return await ask(path, { method: "POST", headers, body: JSON.stringify(value), signal });
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", redirect: "error", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The page was closed in the terminal: start tacos ui again, and open its new link.");
  }
  const text = await response.text();
  if (!response.headers.get("content-type")?.startsWith("application/json")) throw new Error(text.trim());
  const value = JSON.parse(text);
  if (!response.ok) throw new Error(value.error);
  return value;
}
