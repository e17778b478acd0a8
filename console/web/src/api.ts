/** What the console's API answers when it does not give what was asked for (RFC 9457). */
export class ApiProblem extends Error {
  readonly status: number;
  readonly errors: { field: string; message: string }[];

  constructor(status: number, detail: string, errors: { field: string; message: string }[] = []) {
    super(detail);
    this.status = status;
    this.errors = errors;
  }
}

let csrfToken = "";

/** Keep the token of the session, which every request that changes something has to bear. */
export function keepCsrfToken(token: string): void {
  csrfToken = token;
}

type Options = { method?: "GET" | "POST" | "PUT" | "DELETE"; body?: unknown; signal?: AbortSignal };

/** Ask the API; throws ApiProblem with a sentence for the reader. */
export async function ask<Answer>(path: string, { method = "GET", body, signal }: Options = {}): Promise<Answer> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrfToken;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
      credentials: "same-origin",
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiProblem(0, "Claimsight cannot be reached; try again in a moment.");
  }
  if (!response.ok) throw await problemOf(response);
  return (response.status === 204 ? undefined : await response.json()) as Answer;
}

async function problemOf(response: Response): Promise<ApiProblem> {
  try {
    const told = await response.json();
    return new ApiProblem(response.status, String(told.detail), told.errors ?? []);
  } catch {
    return new ApiProblem(response.status, `The answer was ${response.status}; try again.`);
  }
}
