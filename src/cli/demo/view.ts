import { styleText } from 'node:util';
import type { Delivery } from '../../api/delivery.ts';
import type { Task } from '../../api/task.ts';
import { escapeControls } from '../../base/text.ts';
import type { Ledger } from './ledger.ts';

/** Shows the demo while it goes on. */
export interface DemoView {
  changed(resource: Task | Delivery): void;
  /** Leaves the screen ready for what comes next. */
  end(): void;
}

export interface Terminal {
  readonly write: (text: string) => void;
  readonly isTTY: boolean;
  readonly color: boolean;
  readonly columns: number;
}

/** A picture that is painted over on a terminal, plain lines elsewhere. */
export function createView(terminal: Terminal, ledger: () => Ledger, total: number): DemoView {
  return terminal.isTTY ? liveView(terminal, ledger, total) : lineView(terminal);
}

/** One line a change of phase. */
function lineView({ write }: Terminal): DemoView {
  const phases = new Map<string, string>();
  return {
    changed(resource) {
      const { uid, name } = resource.metadata;
      const line = resource.kind === 'Task' ? taskLine(resource) : deliveryLine(resource);
      if (phases.get(uid) === line) return;
      phases.set(uid, line);
      write(`${resource.kind.toLowerCase()}/${name} ${line}\n`);
    },
    end() {},
  };
}

const repaintMs = 80;

/** A table of Tasks with their Deliveries, painted over at most every 80 ms. */
function liveView(terminal: Terminal, ledger: () => Ledger, total: number): DemoView {
  let painted = 0;
  let timer: NodeJS.Timeout | undefined;
  const paint = (): void => {
    timer = undefined;
    const lines = picture(ledger(), total, terminal);
    const up = painted === 0 ? '' : `\x1b[${painted}A`;
    terminal.write(`${up}${lines.map((line) => `\x1b[2K${line}\n`).join('')}`);
    painted = lines.length;
  };
  return {
    changed() {
      timer ??= setTimeout(paint, repaintMs);
    },
    end() {
      clearTimeout(timer);
      paint();
    },
  };
}

const marks = { Succeeded: '✔', Failed: '✘', Running: '▶', Waiting: '…', Pending: '·' } as const;
const colors = {
  Succeeded: 'green',
  Failed: 'red',
  Running: 'cyan',
  Waiting: 'gray',
  Pending: 'gray',
} as const;

function picture(ledger: Ledger, total: number, { color, columns }: Terminal): string[] {
  const deliveries = new Map<string, Delivery[]>();
  for (const delivery of ledger.deliveries.values()) {
    const of = deliveries.get(delivery.spec.task.name);
    if (of === undefined) deliveries.set(delivery.spec.task.name, [delivery]);
    else of.push(delivery);
  }
  const lines = [...ledger.tasks.values()].map((task) => {
    const phase = task.status?.phase || 'Pending';
    const mark = color ? styleText(colors[phase], marks[phase]) : marks[phase];
    const told = (deliveries.get(task.metadata.name) ?? []).map(
      (delivery) => `${delivery.spec.hook.name} ${delivery.status?.phase ?? 'Pending'}`,
    );
    const text = `${task.metadata.name}  ${phase.padEnd(9)}  ${told.sort().join(', ')}`;
    return `${mark} ${text.slice(0, Math.max(20, columns - 3))}`;
  });
  return [...lines, `${ledger.endedAt.size} of ${total} Tasks have ended`];
}

function taskLine(task: Task): string {
  const message = task.status?.message;
  return `${task.status?.phase || 'Pending'}${message ? `: ${escapeControls(message)}` : ''}`;
}

function deliveryLine({ spec, status }: Delivery): string {
  const message =
    status?.phase === 'Delivered' || !status?.message ? '' : `: ${escapeControls(status.message)}`;
  return `${spec.hook.name} of ${spec.task.name}: ${status?.phase ?? 'Pending'}${message}`;
}
