import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { basename } from 'node:path';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { abortable } from '../../base/abort.ts';
import type { Clock } from '../../base/clock.ts';
import { errorCode, toError } from '../../base/errors.ts';
import { clampUtf8, escapeControls } from '../../base/text.ts';
import { configError } from './config-error.ts';
import { bearer, type Credential, type Credentials } from './credentials.ts';
import { type ExecEntry, resolveBeside } from './kubeconfig.ts';

/** The versions of the exec protocol that are spoken. */
const spoken = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'] as const;

/** A plugin that takes longer hangs: none can ask anybody anything. */
const timeoutMs = 60_000;
/** What it left running may hold its output open; all that the plugin itself wrote has come by then. */
const lastWordsMs = 1_000;
const maxOutputBytes = 1024 * 1024;
const maxShownBytes = 300;
/** New credentials are asked for a little before the old ones end: a request takes time. */
const marginMs = 10_000;

const ExecCredential = z.object({
  apiVersion: z.string(),
  kind: z.literal('ExecCredential'),
  status: z.object({
    expirationTimestamp: z.string().nullish(),
    token: z.string().nullish(),
    clientCertificateData: z.string().nullish(),
    clientKeyData: z.string().nullish(),
  }),
});

export interface ExecOptions {
  readonly entry: ExecEntry;
  /** The kubeconfig that names the plugin; a command that is a relative path starts at its folder. */
  readonly file: string;
  /** The environment that the plugin is given, before the entry's own variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `spec.cluster` of what the plugin is told, when it asks for it. */
  readonly clusterInfo: Readonly<Record<string, unknown>>;
  readonly clock: Clock;
}

/**
 * Credentials that a program prints (`users[].user.exec` in a kubeconfig), kept until they expire.
 * @throws StoreError `Unavailable` when the entry asks for what cannot be done
 */
export class ExecCredentials implements Credentials {
  readonly #options: ExecOptions;
  #kept: { readonly credential: Credential; readonly expiresAt: number } | undefined;
  #running: Promise<Credential> | undefined;

  constructor(options: ExecOptions) {
    const { entry, file } = options;
    if (!spoken.some((version) => version === entry.apiVersion)) {
      const remedy = `use ${spoken.join(' or ')}`;
      throw configError(file, `exec plugin ${entry.command} speaks ${entry.apiVersion}`, remedy);
    }
    if (entry.interactiveMode === 'Always') {
      throw configError(
        file,
        `exec plugin ${entry.command} wants a terminal (interactiveMode: Always)`,
        'use one that can do without',
      );
    }
    this.#options = options;
  }

  current(signal?: AbortSignal): Promise<Credential> {
    const kept = this.#kept;
    if (kept !== undefined && this.#options.clock.now() < kept.expiresAt - marginMs) {
      return Promise.resolve(kept.credential);
    }
    // One run serves everybody who waits; whoever gives up leaves it to the others.
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return signal === undefined ? this.#running : abortable(this.#running, signal);
  }

  renew(refused: Credential): boolean {
    if (this.#kept?.credential === refused) this.#kept = undefined;
    return true;
  }

  async #run(): Promise<Credential> {
    const { clock } = this.#options;
    const printed = await this.#output();
    const { status } = this.#parse(printed);
    const expiresAt = status.expirationTimestamp ? Date.parse(status.expirationTimestamp) : Infinity;
    if (Number.isNaN(expiresAt)) throw this.#failure('gave an expirationTimestamp that is no time');
    const credential = {
      authorization: status.token ? bearer(status.token) : undefined,
      clientCertificate:
        status.clientCertificateData && status.clientKeyData
          ? { cert: status.clientCertificateData, key: status.clientKeyData }
          : undefined,
    };
    if (credential.authorization === undefined && credential.clientCertificate === undefined) {
      throw this.#failure('gave neither a token nor a client certificate');
    }
    if (expiresAt <= clock.now()) throw this.#failure('gave a credential that has expired');
    this.#kept = { credential, expiresAt };
    return credential;
  }

  /** What was printed holds credentials: no message quotes it. */
  #parse(printed: string): z.infer<typeof ExecCredential> {
    let value: unknown;
    try {
      value = JSON.parse(printed);
    } catch (_quotesIt) {
      throw this.#failure('did not print JSON');
    }
    const checked = ExecCredential.safeParse(value);
    if (!checked.success) throw this.#failure('did not print an ExecCredential with a status');
    if (checked.data.apiVersion !== this.#options.entry.apiVersion) {
      throw this.#failure(`printed another apiVersion than ${this.#options.entry.apiVersion}`);
    }
    return checked.data;
  }

  #output(): Promise<string> {
    const { entry, file, env } = this.#options;
    const command =
      basename(entry.command) === entry.command ? entry.command : resolveBeside(file, entry.command);
    return new Promise((resolve, reject) => {
      const child = spawn(command, entry.args ?? [], {
        env: {
          ...env,
          ...this.#execInfo(),
          ...Object.fromEntries((entry.env ?? []).map((e) => [e.name, e.value])),
        },
        stdio: ['ignore', 'pipe', 'pipe'],
        windowsHide: true,
        // A group of its own: a wrapper's children hold its output open, and are ended with it.
        detached: true,
      });
      const stdout = new BoundedText(maxOutputBytes);
      const stderr = new BoundedText(4096);
      child.stdout.on('data', (chunk: Buffer) => stdout.add(chunk));
      child.stderr.on('data', (chunk: Buffer) => stderr.add(chunk));
      const { clock } = this.#options;
      let cancel = clock.after(timeoutMs, () => {
        endGroup(child);
        reject(this.#failure(`took more than ${timeoutMs / 1000} s`));
      });
      const ended = (code: number | null, signal: NodeJS.Signals | null): void => {
        cancel();
        if (code === 0) {
          resolve(stdout.text);
          return;
        }
        const how = `ended with ${signal ?? `exit code ${code}`}`;
        const said = firstLine(stderr.text);
        reject(this.#failure(said === '' ? how : `${how} and said: ${said}`));
      };
      child.once('error', (error) => {
        cancel();
        const hint =
          errorCode(error) === 'ENOENT' ? 'is not there' : `cannot be run (${toError(error).message})`;
        reject(this.#failure(hint, error));
      });
      child.once('exit', (code, signal) => {
        cancel();
        cancel = clock.after(lastWordsMs, () => {
          hangUp(child);
          ended(code, signal);
        });
      });
      child.once('close', ended);
    });
  }

  #execInfo(): { KUBERNETES_EXEC_INFO: string } {
    const { entry, clusterInfo } = this.#options;
    const spec = { interactive: false, ...(entry.provideClusterInfo ? { cluster: clusterInfo } : {}) };
    return {
      KUBERNETES_EXEC_INFO: JSON.stringify({ apiVersion: entry.apiVersion, kind: 'ExecCredential', spec }),
    };
  }

  #failure(what: string, cause?: unknown): Error {
    const { entry, file } = this.#options;
    const remedy = entry.installHint ? firstLine(entry.installHint) : 'run it by hand to see why';
    return configError(file, `exec plugin ${entry.command} ${what}`, remedy, cause);
  }
}

/** Ends a program with all that it started, and waits for nothing of it. */
function endGroup(child: ChildProcessByStdio<null, Readable, Readable>): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch (_gone) {
    // It ended in this very moment.
  }
  hangUp(child);
  child.unref();
}

/** Listens no longer. */
function hangUp({ stdout, stderr }: ChildProcessByStdio<null, Readable, Readable>): void {
  stdout.destroy();
  stderr.destroy();
}

/** The head of what a program says. */
class BoundedText {
  readonly #max: number;
  readonly #chunks: Buffer[] = [];
  #size = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(chunk: Buffer): void {
    const rest = this.#max - this.#size;
    if (rest <= 0) return;
    this.#chunks.push(chunk.subarray(0, rest));
    this.#size += Math.min(chunk.length, rest);
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString('utf8');
  }
}

function firstLine(text: string): string {
  const line = text.trim().split(/\r?\n/, 1)[0] ?? '';
  return escapeControls(clampUtf8(line, maxShownBytes));
}
