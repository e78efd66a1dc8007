import { TelosError } from '../errors.ts';

export type TemplateErrorCode =
  /** The text is no template. */
  | 'TemplateSyntax'
  /** The data do not fit: a missing key, a wrong type, a function that failed. */
  | 'TemplateRender'
  /** Too long, too deep, too much output, too many steps. */
  | 'TemplateLimit';

/** A template cannot be parsed or rendered. The message is one line that begins with `line:column`. */
export class TemplateError extends TelosError {
  declare readonly code: TemplateErrorCode;
  /** Both from 1; the column counts UTF-16 units. */
  readonly line: number;
  readonly column: number;

  constructor(code: TemplateErrorCode, position: Position, message: string, cause?: unknown) {
    super(code, `${position.line}:${position.column}: ${message}`, { cause });
    this.line = position.line;
    this.column = position.column;
  }
}

export interface Position {
  readonly line: number;
  readonly column: number;
}

/** What a function or operator says of its arguments; where it stands is added by who called it. */
export class ArgumentError extends Error {}
