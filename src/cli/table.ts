import { styleText } from 'node:util';
import stringWidth from 'string-width';
import type { Delivery } from '../api/delivery.ts';
import { type Kind, kinds, type PrinterColumn, type Resource } from '../api/kinds.ts';
import { formatDuration } from '../base/duration.ts';
import { escapeControls } from '../base/text.ts';
import { needsDispatch, redeliverRequested } from '../report/decide-delivery.ts';
import { columnValue } from './column-value.ts';

export interface TableOptions {
  /** Whether columns that are only for `-o wide` are shown too. */
  readonly wide: boolean;
  readonly namespaces: boolean;
  /** Whether names read `task/x`, because tables of several kinds follow one another. */
  readonly kinds: boolean;
  readonly color: boolean;
  /** For ages: milliseconds since the epoch. */
  readonly nowMs: number;
}

/** Space between two columns. */
const gap = '   ';

/** What a column shows where there is nothing. */
const nothing = '<none>';

/** A table as `kubectl get` prints it. Rows added later keep the widths of the first ones where they fit. */
export class Table {
  readonly #options: TableOptions;
  readonly #kind: Kind;
  readonly #columns: readonly PrinterColumn[];
  #widths: number[];

  constructor(kind: Kind, options: TableOptions) {
    this.#kind = kind;
    this.#options = options;
    this.#columns = kinds[kind].columns.filter((column) => options.wide || column.wide !== true);
    this.#widths = this.#header().map((cell) => stringWidth(cell));
  }

  /** The heading and a line for each resource, each ending in a newline. */
  render(resources: readonly Resource[], nowMs = this.#options.nowMs): string {
    const rows = resources.map((resource) => this.#cells(resource, nowMs));
    for (const row of rows) this.#widen(row);
    return [this.#header(), ...rows].map((row) => this.#line(row)).join('');
  }

  /** One more line. */
  row(resource: Resource, nowMs: number): string {
    const cells = this.#cells(resource, nowMs);
    this.#widen(cells);
    return this.#line(cells);
  }

  #header(): string[] {
    const names = this.#columns.map((column) => column.name.toUpperCase());
    return [...(this.#options.namespaces ? ['NAMESPACE'] : []), 'NAME', ...names];
  }

  #cells(resource: Resource, nowMs: number): string[] {
    const { name, namespace } = resource.metadata;
    const shown = this.#options.kinds ? `${kinds[this.#kind].singular}/${name}` : name;
    return [
      ...(this.#options.namespaces ? [namespace] : []),
      shown,
      ...this.#columns.map((column) => this.#cell(column, resource, nowMs)),
    ];
  }

  #cell(column: PrinterColumn, resource: Resource, nowMs: number): string {
    if (column.type === 'due') return nextAttempt(resource, nowMs);
    const value = columnValue(resource, column.path);
    if (value === undefined || value === null || value === '')
      return this.#colored(column, column.absent ?? nothing);
    if (column.type === 'date') return age(String(value), nowMs);
    const text = escapeControls(typeof value === 'object' ? JSON.stringify(value) : String(value));
    return this.#colored(column, text);
  }

  #colored(column: PrinterColumn, text: string): string {
    return this.#options.color && column.name === 'Phase' ? colorPhase(text) : text;
  }

  #widen(cells: readonly string[]): void {
    this.#widths = this.#widths.map((width, index) => Math.max(width, stringWidth(cells[index] ?? '')));
  }

  #line(cells: readonly string[]): string {
    const last = cells.length - 1;
    const padded = cells.map((cell, index) =>
      index === last ? cell : cell + ' '.repeat(Math.max(0, (this.#widths[index] ?? 0) - stringWidth(cell))),
    );
    return `${padded.join(gap)}\n`;
  }
}

/** How long ago a time was, or, when it is still to come, in how long. */
export function age(time: string, nowMs: number): string {
  const at = Date.parse(time);
  if (Number.isNaN(at)) return '<unknown>';
  return at > nowMs + 999 ? `in ${formatDuration(at - nowMs)}` : formatDuration(nowMs - at);
}

/** In how long a Delivery is tried next; `now` when it is due, whatever it waits for. */
function nextAttempt(resource: Resource, nowMs: number): string {
  const delivery = resource as Delivery;
  if (!needsDispatch(delivery)) return nothing;
  const time = delivery.status?.nextAttemptAt;
  if (time === undefined || redeliverRequested(delivery) || Date.parse(time) <= nowMs) return 'now';
  return age(time, nowMs);
}

const phaseColors: Readonly<Record<string, 'green' | 'red' | 'yellow' | 'cyan'>> = {
  Succeeded: 'green',
  Delivered: 'green',
  Failed: 'red',
  Retrying: 'yellow',
  Waiting: 'yellow',
  Suspended: 'yellow',
  Running: 'cyan',
};

/** A phase in the colour of its meaning. */
function colorPhase(phase: string): string {
  const color = phaseColors[phase];
  return color === undefined ? phase : styleText(color, phase, { validateStream: false });
}
