/** What a log line may carry besides its message. Never a secret, never a URL with a path. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Where rooms write what people should know. One line per call; `message` is a constant phrase, so
 * that lines can be counted, and what varies goes into `fields`.
 */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger whose lines all carry `fields` too. */
  child(fields: LogFields): Logger;
}

/** A logger that says nothing. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
