// The way to ARM: JSON over HTTP, with an end to every wait and a sentence for every failure.

const WAIT_MS = 5000;

export class ApiError extends Error {
  constructor(code, text, document = {}) {
    super(text);
    this.code = code;
    this.document = document;
  }
}

/** The token that reads may need; it stays in this tab. */
export function useToken(token) {
  sessionStorage.setItem("arm-token", token);
}

function headers() {
  const token = sessionStorage.getItem("arm-token");
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Gets a JSON document; throws ApiError with the server's sentence, or with one of our own. */
export async function get(path, args = {}) {
  const query = new URLSearchParams(args).toString();
  return send("GET", query ? `${path}?${query}` : path);
}

/** Sends a request, with `body` as JSON if there is one, and gives the answer; throws as `get` does. */
export async function send(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method, headers: headers(), signal: AbortSignal.timeout(WAIT_MS), cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (failure) {
    const late = failure.name === "TimeoutError";
    throw new ApiError(0, late ? "ARM does not answer in time" : "ARM can not be reached");
  }
  if (answer.status === 204) return null;
  let document;
  try {
    document = await answer.json();
  } catch {
    throw new ApiError(answer.status, `ARM answered with status ${answer.status} and no JSON`);
  }
  if (!answer.ok) throw new ApiError(answer.status, document.error ?? `ARM answered with status ${answer.status}`, document);
  return document;
}

/**
 * Calls `task` now and then every `ms` until it is stopped, one call at a time, and not while the page is hidden.
 * `task` handles its own failures.
 */
export function every(ms, task) {
  let timer = null;
  let stopped = false;
  let running = false;
  async function run() {
    clearTimeout(timer);
    if (stopped || running || document.hidden) return;
    running = true;
    const started = performance.now();
    await task();
    running = false;
    if (!stopped) timer = setTimeout(run, Math.max(100, ms - (performance.now() - started)));
  }
  document.addEventListener("visibilitychange", run);
  run();
  return {
    now: run,
    stop() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", run);
    },
  };
}
