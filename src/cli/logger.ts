import { styleText } from 'node:util';
import { type Logger as PinoLogger, pino } from 'pino';
import type { Logger } from '../base/log.ts';
import { escapeControls } from '../base/text.ts';

export interface LoggerOptions {
  readonly format: 'text' | 'json';
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** Takes whole lines, newline included. */
  readonly write: (line: string) => void;
  /** Colour in the text format. */
  readonly color: boolean;
}

/** A logger for one process: JSON lines for machines, or a line a person can read. */
export function createLogger(options: LoggerOptions): Logger {
  const write =
    options.format === 'json'
      ? options.write
      : (line: string) => options.write(formatLine(line, options.color));
  return wrap(
    pino(
      {
        level: options.level,
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: levelName },
      },
      { write },
    ),
  );
}

function wrap(logger: PinoLogger): Logger {
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
    child: (fields) => wrap(logger.child(fields)),
  };
}

function levelName(label: string): { level: string } {
  return { level: label };
}

const levelStyles = { debug: 'gray', info: 'green', warn: 'yellow', error: 'red' } as const;

function formatLine(json: string, color: boolean): string {
  const { level, time, msg, room: _, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const name = String(level) as keyof typeof levelStyles;
  const label = name.padEnd(5);
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${fieldText(value)}`);
  const styled = color ? styleText(levelStyles[name] ?? 'white', label) : label;
  return `${String(time).slice(11, 19)} ${styled} ${String(msg)}${rest.join('')}\n`;
}

/** A value as it can stand in a line: control characters escaped, quoted when it holds a space. */
function fieldText(value: unknown): string {
  const text = escapeControls(typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined'));
  return /[\s"=]/.test(text) && typeof value === 'string' ? JSON.stringify(text) : text;
}
