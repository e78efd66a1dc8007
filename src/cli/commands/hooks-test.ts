import type { TerminalPhase } from '../../api/hook.ts';
import type { Secret } from '../../api/secret.ts';
import { silentLogger } from '../../base/log.ts';
import { escapeControls } from '../../base/text.ts';
import { EgressGuard } from '../../egress/guard.ts';
import type { AttemptResult } from '../../report/attempt.ts';
import { type HookTest, prepareHookTest, samplePayload } from '../../report/hook-test.ts';
import { type SecretSource, StoreSecrets } from '../../report/secrets.ts';
import type { ResourceStore } from '../../store/store.ts';
import { readCheckedManifests } from '../checked-manifests.ts';
import { UsageError } from '../cli-error.ts';
import { type CommandContext, printLine, printNote } from '../command-context.ts';
import { attemptText } from '../describe/describe-delivery.ts';
import { type EgressFlags, egressPolicy } from '../egress-options.ts';
import { type FoundHook, findHooks, findSecrets } from '../manifest-hooks.ts';
import { isObjectFormat, printObject } from '../print-resources.ts';
import { openStore } from '../store-option.ts';
import { terminalText } from '../terminal-text.ts';
import { version } from '../version.ts';

export interface HooksTestFlags extends EgressFlags {
  readonly file?: readonly string[];
  readonly hook?: string;
  readonly phase?: TerminalPhase;
  readonly print?: boolean;
  readonly hookSecrets?: 'any' | 'labelled';
}

/** `telos hooks test`: sends what the hooks of manifests would get. Returns 1 when one was not delivered. */
export async function testHooks(context: CommandContext, flags: HooksTestFlags): Promise<0 | 1> {
  const { clock, options } = context;
  const manifests = await readCheckedManifests(flags.file, context);
  const hooks = chosenHooks(findHooks(manifests, options.namespace), flags.hook);
  const guard = new EgressGuard(await egressPolicy(flags), { clock });
  const secrets = new ManifestSecrets(findSecrets(manifests, options.namespace), context);
  const settings = { hookSecrets: flags.hookSecrets ?? 'any', version };
  const trials: Trial[] = [];
  try {
    for (const { hook, namespace, ...of } of hooks) {
      const phase = flags.phase ?? hook.phases?.[0] ?? 'Succeeded';
      const payload = samplePayload(phase, { namespace, ...of }, clock.now());
      const deps = { guard, clock, secrets };
      const test = await prepareHookTest({ hook, namespace, payload }, settings, deps);
      const trial: Trial = { test, result: flags.print ? undefined : await test.send(context.signal) };
      trials.push(trial);
      if (!isObjectFormat(options.output)) printTrial(trial, context);
    }
  } finally {
    await guard.close();
    await secrets.close();
  }
  if (isObjectFormat(options.output)) printObject(context, trials.map(trialObject));
  return trials.every(isGood) ? 0 : 1;
}

/** One hook tried, or only prepared: then it has no result. */
interface Trial {
  readonly test: HookTest;
  readonly result: AttemptResult | undefined;
}

function isGood({ test, result }: Trial): boolean {
  if (!test.match.wanted && test.match.isFault) return false;
  return result === undefined ? test.prepared.kind === 'ready' : result.verdict.kind === 'delivered';
}

function trialObject({ test, result }: Trial): Record<string, unknown> {
  const { hook, match, prepared } = test;
  return { hook, match, prepared, ...(result === undefined ? {} : { attempt: result.record }) };
}

function chosenHooks(found: readonly FoundHook[], name: string | undefined): readonly FoundHook[] {
  const names = found.map(({ hook }) => hook.name);
  if (found.length === 0) {
    throw new UsageError(
      'no hook',
      '-f',
      'name a TaskSpawner with spec.onCompletion, or a Task with the annotation',
    );
  }
  const chosen = name === undefined ? found : found.filter(({ hook }) => hook.name === name);
  if (chosen.length === 0)
    throw new UsageError(`no hook '${name}'`, '--hook', `use one of ${names.join(', ')}`);
  return chosen;
}

function printTrial({ test, result }: Trial, context: CommandContext): void {
  const { hook, match, prepared } = test;
  if (!match.wanted) printNote(context, `hook ${hook} would not be told: ${escapeControls(match.message)}`);
  if (prepared.kind === 'refused') {
    printLine(context, `hook ${hook}: no request: ${escapeControls(prepared.verdict.message)}`);
    return;
  }
  const { method, url, headers, body } = prepared.request;
  printLine(context, `hook ${hook}: ${method} ${escapeControls(url)}`);
  if (result !== undefined) {
    printLine(context, terminalText(attemptText(result.record)));
    return;
  }
  for (const [name, value] of Object.entries(headers))
    printLine(context, `${name}: ${escapeControls(value)}`);
  printLine(context, `\n${terminalText(body)}`);
}

/** Secrets of the manifests, and behind them those of the store, which is opened only when one is missing. */
class ManifestSecrets implements SecretSource {
  readonly #manifests: ReadonlyMap<string, Secret>;
  readonly #context: CommandContext;
  #store: Promise<ResourceStore> | undefined;
  #stored: SecretSource | undefined;

  constructor(manifests: ReadonlyMap<string, Secret>, context: CommandContext) {
    this.#manifests = manifests;
    this.#context = context;
  }

  async read(namespace: string, name: string): Promise<Secret | undefined> {
    const secret = this.#manifests.get(`${namespace}/${name}`);
    if (secret !== undefined) return secret;
    const { clock, env, options } = this.#context;
    this.#store ??= openStore(options.store, { clock, log: silentLogger, env });
    this.#stored ??= new StoreSecrets(await this.#store, clock);
    return this.#stored.read(namespace, name);
  }

  async close(): Promise<void> {
    await (await this.#store)?.close();
  }
}
