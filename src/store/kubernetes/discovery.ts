import { z } from 'zod';
import { type Kind, kinds } from '../../api/kinds.ts';
import { abortable } from '../../base/abort.ts';
import { StoreError } from '../errors.ts';
import { parseAnswer, refusedCall } from './status-errors.ts';
import type { Transport } from './transport.ts';

/** How a kind is called at one API server. */
export interface ServedKind {
  readonly apiVersion: string;
  /** Where its resources are: `/apis/kelos.dev/v1alpha2`. */
  readonly root: string;
}

const ApiGroup = z.object({ versions: z.array(z.object({ version: z.string() })) });
const ApiResources = z.object({ resources: z.array(z.object({ name: z.string() })) });

/**
 * Which version of each kind an API server serves: the newest that we know. Asked once for each group; what is
 * missing is asked for again, so that a CRD may come later.
 */
export class Discovery {
  readonly #transport: Transport;
  readonly #groups = new Map<string, Promise<ReadonlyMap<string, string>>>();

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** @throws StoreError `Unavailable` with the remedy when the kind is not served */
  async served(kind: Kind, signal?: AbortSignal): Promise<ServedKind> {
    const { group, plural, custom, versions } = kinds[kind];
    if (!custom) return { apiVersion: versions.at(-1) ?? 'v1', root: `/api/${versions.at(-1)}` };
    const asked = this.#group(group);
    const served = await (signal === undefined ? asked : abortable(asked, signal));
    const version = served.get(plural);
    if (version === undefined) {
      this.forget(kind);
      throw this.notServed(kind);
    }
    return { apiVersion: `${group}/${version}`, root: `/apis/${group}/${version}` };
  }

  /** What was found out no longer holds. */
  forget(kind: Kind): void {
    this.#groups.delete(kinds[kind].group);
  }

  notServed(kind: Kind): StoreError {
    const { plural, group } = kinds[kind];
    const what = `does not know ${plural}.${group}`;
    const remedy =
      group === 'kelos.dev'
        ? 'install Kelos, or without it: telos manifests --mode standalone | kubectl apply -f -'
        : 'telos manifests | kubectl apply -f -';
    return new StoreError('Unavailable', `${this.#transport.name}: ${what}: ${remedy}`);
  }

  #group(group: string): Promise<ReadonlyMap<string, string>> {
    let asked = this.#groups.get(group);
    if (asked === undefined) {
      asked = this.#ask(group);
      this.#groups.set(group, asked);
      asked.catch(() => this.#groups.delete(group));
    }
    return asked;
  }

  /** The newest version of each plural. */
  async #ask(group: string): Promise<ReadonlyMap<string, string>> {
    const newest = new Map<string, string>();
    const found = await this.#get(`/apis/${group}`, ApiGroup);
    const served = new Set(found?.versions.map(({ version }) => version));
    for (const version of knownVersions(group)) {
      if (!served.has(version)) continue;
      const list = await this.#get(`/apis/${group}/${version}`, ApiResources);
      for (const { name } of list?.resources ?? []) newest.set(name, version);
    }
    return newest;
  }

  /** Undefined when there is no such thing. */
  async #get<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const answer = await this.#transport.send({ method: 'GET', path });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw refusedCall(answer, this.#transport.name);
    const checked = schema.safeParse(parseAnswer(answer, this.#transport.name));
    if (checked.success) return checked.data;
    throw new StoreError('Unavailable', `${this.#transport.name}: ${path} is not what an API server says`, {
      cause: checked.error,
    });
  }
}

/** Oldest first. */
function knownVersions(group: string): readonly string[] {
  return Object.values(kinds).find((info) => info.group === group)?.versions ?? [];
}
