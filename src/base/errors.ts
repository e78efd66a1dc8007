/**
 * The root of every error that Telos throws on purpose.
 *
 * `code` is stable and meant for programs; `message` is one line meant for people and carries the
 * remedy. Neither ever holds a secret value.
 */
export class TelosError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Turns whatever was thrown into an Error, keeping the original as its cause. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
}

/** Node's `code` of a system error (`ENOENT`, `EADDRINUSE`, …), if it has one. */
export function errorCode(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}
