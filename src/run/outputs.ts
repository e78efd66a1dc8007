import { clampUtf8, escapeControls } from '../base/text.ts';

/** What a program reported between the output markers. */
export interface CapturedOutputs {
  /** Its lines, trimmed, without empty ones. */
  readonly outputs: readonly string[];
  /** Those that read `key: value`; of several with one key the last. */
  readonly results: Readonly<Record<string, string>>;
  /** How many lines were left out because there were too many or they were too long. */
  readonly outputsLeftOut: number;
}

/** Bytes at the end of a log in which outputs are looked for. */
export const outputsTailBytes = 256 * 1024;

const startMarker = '---KELOS_OUTPUTS_START---';
const endMarker = '---KELOS_OUTPUTS_END---';
/** Lines kept of one block. */
const maxLines = 256;
/** Bytes kept of one block, all lines together: they stand in the status, and in what hooks are told. */
const maxBytes = 64 * 1024;
/** Bytes of the last line that a message quotes. */
const lastLineBytes = 200;

/**
 * Reads the last complete block between the markers out of the end of a log. A marker counts when it ends
 * (start) or begins (end) its line: what was printed just before without a newline does no harm, and text that
 * merely quotes a marker is none. Lines that do not fit the limits are left out whole.
 */
export function parseOutputs(tail: string): CapturedOutputs {
  const lines = splitLines(tail);
  const block = lastBlock(lines);
  const outputs: string[] = [];
  let bytes = 0;
  let outputsLeftOut = 0;
  for (const text of lines.slice(block.from, block.to)) {
    const line = text.trim();
    if (line === '') continue;
    const size = Buffer.byteLength(line);
    if (outputs.length >= maxLines || bytes + size > maxBytes) {
      outputsLeftOut += 1;
      continue;
    }
    bytes += size;
    outputs.push(line);
  }
  return { outputs, results: resultsOf(outputs), outputsLeftOut };
}

/** The last line with text that is outside the output block, clamped and made harmless; '' when there is none. */
export function lastLineOf(tail: string): string {
  const lines = splitLines(tail);
  const { from, to } = lastBlock(lines);
  for (let index = lines.length - 1; index >= 0; index -= 1) {
    // The marker lines stand just before and after the block.
    if (to > 0 && index >= from - 1 && index <= to) continue;
    const line = lines[index]?.trim() ?? '';
    if (line === '') continue;
    const cut = clampUtf8(line, lastLineBytes);
    return escapeControls(cut === line ? line : `${cut}…`);
  }
  return '';
}

function splitLines(text: string): string[] {
  return text.split(/\r\n|\n|\r/);
}

/** Where the lines of the last complete block begin and end; both 0 when there is none. */
function lastBlock(lines: readonly string[]): { from: number; to: number } {
  let to = 0;
  for (let index = lines.length - 1; index >= 0; index -= 1) {
    const line = lines[index] ?? '';
    // Of several ends after one start the first counts.
    if (line.trimStart().startsWith(endMarker)) to = index;
    else if (to > 0 && line.trimEnd().endsWith(startMarker)) return { from: index + 1, to };
  }
  return { from: 0, to: 0 };
}

function resultsOf(outputs: readonly string[]): Record<string, string> {
  const results = new Map<string, string>();
  for (const line of outputs) {
    const colon = line.indexOf(': ');
    if (colon > 0) results.set(line.slice(0, colon), line.slice(colon + 2));
  }
  return Object.fromEntries(results);
}
