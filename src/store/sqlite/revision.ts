import type { Kind } from '../../api/kinds.ts';
import type { State } from './state.ts';

/** How a change stands in the table: added, modified, deleted. */
export type RevisionType = 'A' | 'M' | 'D';

/** A row of `revision` without its JSON. */
export interface RevisionRow {
  readonly rv: number;
  readonly type: RevisionType;
  readonly kind: Kind;
  readonly namespace: string;
  readonly name: string;
  /** The version that this one supersedes; 0 for an addition. */
  readonly prev: number;
}

/** One change of one resource. */
export class Revision {
  readonly type: RevisionType;
  readonly kind: Kind;
  readonly namespace: string;
  /** The state after the change; of a deletion, the last one. */
  readonly state: State;
  readonly #readBefore: () => State | undefined;
  #before: { readonly state: State | undefined } | undefined;

  constructor(
    row: Pick<RevisionRow, 'type' | 'kind' | 'namespace'>,
    state: State,
    readBefore: () => State | undefined,
  ) {
    this.type = row.type;
    this.kind = row.kind;
    this.namespace = row.namespace;
    this.state = state;
    this.#readBefore = readBefore;
  }

  get rv(): number {
    return this.state.rv;
  }

  /** Length of its JSON in UTF-16 units: what keeping it costs, roughly. */
  get size(): number {
    return this.state.json.length;
  }

  /** The state before the change; undefined for an addition. */
  get before(): State | undefined {
    if (this.type === 'A') return undefined;
    this.#before ??= { state: this.#readBefore() };
    return this.#before.state;
  }
}
