import { FunctionExpressionType, JSONPathEnvironment, JSONPathError, type JSONPathQuery } from 'json-p3';
import { RE2JS } from 're2js';
import { toError } from '../../base/errors.ts';
import { clampUtf8, escapeControls } from '../../base/text.ts';
import { SpawnerConfigError } from '../source.ts';

/** What a path finds: one value, or nothing. A path that can find several finds the list of them. */
type Found = { readonly found: true; readonly value: unknown } | { readonly found: false };

/** A compiled JSONPath. Never throws: a document too deep for the path is one in which nothing is found. */
export type JsonPath = (document: unknown) => Found;

/**
 * Compiles a JSONPath (RFC 9535). The leading `$` may be left out: `issue.title` is `$.issue.title`.
 * @param where the field of the TaskSpawner it stands in, for the error.
 * @throws SpawnerConfigError when it is not one.
 */
export function compileJsonPath(path: string, where: string): JsonPath {
  const query = compile(path, where);
  const single = query.singularQuery();
  return (document) => {
    const values = valuesOf(query, document);
    if (values === undefined) return { found: false };
    if (!single) return { found: true, value: values };
    return values.length === 0 ? { found: false } : { found: true, value: values[0] };
  };
}

/** @throws SpawnerConfigError when it is not an RE2 expression. */
export function compilePattern(pattern: string, where: string): (text: string) => boolean {
  try {
    const compiled = RE2JS.compile(pattern);
    return (text) => compiled.matcher(text).find();
  } catch (thrown) {
    const cause = toError(thrown);
    const message = `not an RE2 expression: ${oneLine(cause)}`;
    throw new SpawnerConfigError('SourceInvalid', { path: where, message }, { cause });
  }
}

/** What a library says may quote what it was given. */
function oneLine({ message }: Error): string {
  return escapeControls(clampUtf8(message, 300));
}

/**
 * The library would run `match` and `search` on the engine's backtracking RegExp, which one expression
 * can block for minutes; RE2 takes time linear in the text.
 */
function environment(): JSONPathEnvironment {
  const made = new JSONPathEnvironment();
  made.functionRegister.set(
    'match',
    patternFunction((pattern) => `^(?:${pattern})$`),
  );
  made.functionRegister.set(
    'search',
    patternFunction((pattern) => pattern),
  );
  return made;
}

function patternFunction(anchor: (pattern: string) => string): {
  argTypes: FunctionExpressionType[];
  returnType: FunctionExpressionType;
  call(text: unknown, pattern: unknown): boolean;
} {
  return {
    argTypes: [FunctionExpressionType.ValueType, FunctionExpressionType.ValueType],
    returnType: FunctionExpressionType.LogicalType,
    call(text, pattern) {
      if (typeof text !== 'string' || typeof pattern !== 'string') return false;
      try {
        return RE2JS.compile(anchor(pattern)).matcher(text).find();
      } catch {
        // RFC 9535, 2.4.6: an expression that is not one makes the result false.
        return false;
      }
    },
  };
}

const shared = environment();

function compile(path: string, where: string): JSONPathQuery {
  const rooted = path.startsWith('$') ? path : path.startsWith('[') ? `$${path}` : `$.${path}`;
  try {
    return shared.compile(rooted);
  } catch (thrown) {
    const cause = toError(thrown);
    throw new SpawnerConfigError(
      'SourceInvalid',
      { path: where, message: `${JSON.stringify(path)} is not a JSONPath: ${oneLine(cause)}` },
      { cause },
    );
  }
}

function valuesOf(query: JSONPathQuery, document: unknown): unknown[] | undefined {
  try {
    return query.query(document as Parameters<JSONPathQuery['query']>[0]).values();
  } catch (thrown) {
    if (thrown instanceof JSONPathError) return undefined;
    throw thrown;
  }
}
