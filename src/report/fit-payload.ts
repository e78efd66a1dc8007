import type { Payload } from '../api/delivery.ts';
import { clampUtf8 } from '../base/text.ts';
import { renderJson } from './formats/json.ts';

/** Bytes kept back for the key `truncated`. */
const reservedBytes = 4096;

/**
 * A payload whose format json takes at most `maxBytes` (at least 64 KiB): the message keeps its place before results, and
 * these before outputs, the value that no longer fits is cut on a character boundary, what comes after it is left out, and `truncated`
 * names the paths. Returns the same payload when it fits.
 */
export function fitPayload(payload: Payload, maxBytes: number): Payload {
  if (Buffer.byteLength(renderJson(payload)) <= maxBytes) return payload;
  const frame = {
    ...payload,
    ...Object.fromEntries(texts.map((name) => [name, undefined])),
    outputs: undefined,
    results: undefined,
    truncated: undefined,
  };
  const budget = new Budget(maxBytes - reservedBytes - Buffer.byteLength(renderJson(frame)));
  const cut = new Set(payload.truncated);
  const fitted = fitTexts(payload, budget, cut);
  const results = fitResults(payload.results, budget, cut);
  const outputs = fitOutputs(payload.outputs, budget, cut);
  return { ...payload, ...fitted, outputs, results, truncated: summary([...cut]) };
}

/** Each of them is short, but not where all of it has to be escaped. */
const texts = ['spawner', 'model', 'message'] as const;

function fitTexts(payload: Payload, budget: Budget, cut: Set<string>): Partial<Payload> {
  const fitted: Partial<Record<(typeof texts)[number], string>> = {};
  for (const name of texts) {
    const text = payload[name];
    if (text === undefined) continue;
    budget.spend(name.length + '"":,'.length);
    fitted[name] = budget.fit(text);
    if (fitted[name] !== text) cut.add(name);
  }
  return fitted;
}

function fitResults(
  results: Payload['results'],
  budget: Budget,
  cut: Set<string>,
): Record<string, string> | undefined {
  if (results === undefined) return undefined;
  budget.spend('"results":{},'.length);
  const kept: [string, string][] = [];
  for (const key of Object.keys(results).sort()) {
    if (!budget.spend(jsonBytes(key) + 2)) {
      cut.add('results');
      break;
    }
    const value = results[key] ?? '';
    const fitting = budget.fit(value);
    if (fitting !== value) cut.add(`results.${key}`);
    kept.push([key, fitting]);
  }
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

function fitOutputs(outputs: Payload['outputs'], budget: Budget, cut: Set<string>): string[] | undefined {
  if (outputs === undefined) return undefined;
  budget.spend('"outputs":[],'.length);
  const kept: string[] = [];
  for (const line of outputs) {
    const fitting = budget.spend(1) ? budget.fit(line) : '';
    if (fitting !== '') kept.push(fitting);
    if (fitting === line) continue;
    cut.add('outputs');
    break;
  }
  return kept.length === 0 ? undefined : kept;
}

/** The paths, unless they are so many or so long that the names of their keys must do. */
function summary(paths: readonly string[]): string[] {
  const bytes = paths.reduce((sum, path) => sum + jsonBytes(path) + 1, 0);
  if (bytes <= reservedBytes - 64) return [...paths];
  return [...new Set(paths.map((path) => path.slice(0, `${path}.`.indexOf('.'))))];
}

/** Bytes of JSON that are left to give away. */
class Budget {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Takes so many bytes; false when there are not enough, and then takes none. */
  spend(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** The longest beginning of the text for which there is room as a JSON string; takes that room. */
  fit(text: string): string {
    if (this.spend(jsonBytes(text))) return text;
    let low = 0;
    let high = Math.max(0, this.#left - 2);
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (jsonBytes(clampUtf8(text, middle)) <= this.#left) low = middle;
      else high = middle - 1;
    }
    const fitting = clampUtf8(text, low);
    this.spend(jsonBytes(fitting));
    return fitting;
  }
}

function jsonBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text));
}
