/** What a program reported, and its last words. */
export interface ProgramOutput {
  readonly outputs: string[];
  readonly results: Record<string, string>;
  readonly lastLine: string | undefined;
}

const startMarker = '---KELOS_OUTPUTS_START---';
const endMarker = '---KELOS_OUTPUTS_END---';
/** More lines, or longer ones in all (UTF-16 units), are not taken. */
const maxLines = 1000;
const maxLength = 128 * 1024;
const maxLastLine = 512;

/**
 * Reads the end of what a program printed: the lines between the last complete pair of markers are its outputs,
 * and those of them that read `key: value` its results, of which the last of a key counts.
 */
export function parseOutput(text: string): ProgramOutput {
  const lines = text.split(/\r?\n|\r/).map((line) => line.trim());
  const { from, to } = lastPair(lines);
  const outputs = bounded(lines.slice(from + 1, to).filter((line) => line !== ''));
  const spoken = to > from ? [...lines.slice(0, from), ...lines.slice(to + 1)] : lines;
  const last = spoken.findLast((line) => line !== '' && line !== startMarker && line !== endMarker);
  return { outputs, results: resultsOf(outputs), lastLine: last?.slice(0, maxLastLine) };
}

/** Where the last complete pair stands; `from` equals `to` when there is none. */
function lastPair(lines: readonly string[]): { from: number; to: number } {
  for (let to = lines.lastIndexOf(endMarker); to > 0; to = lines.lastIndexOf(endMarker, to - 1)) {
    const from = lines.lastIndexOf(startMarker, to);
    const between = lines.lastIndexOf(endMarker, to - 1);
    if (from >= 0 && from > between) return { from, to };
  }
  return { from: 0, to: 0 };
}

function bounded(lines: readonly string[]): string[] {
  const kept: string[] = [];
  let length = 0;
  for (const line of lines.slice(0, maxLines)) {
    length += line.length;
    if (length > maxLength) break;
    kept.push(line);
  }
  return kept;
}

function resultsOf(outputs: readonly string[]): Record<string, string> {
  const results = new Map<string, string>();
  for (const line of outputs) {
    const at = line.indexOf(': ');
    if (at > 0) results.set(line.slice(0, at), line.slice(at + 2).trim());
  }
  return Object.fromEntries(results);
}
