import { isIP } from 'node:net';
import { parseUrl } from '../base/url.ts';
import { addressFault, type Cidr, carriedIpv4, mappedIpv4, normalAddress } from './address-policy.ts';
import { nameFault, nameFormFault } from './name-policy.ts';
import { matchesAddress, matchesName } from './operator-rules.ts';
import type { EgressPolicy } from './policy.ts';
import { portFault } from './port-policy.ts';
import { textFault } from './text.ts';

/** Where in the fixed order a URL was refused. */
export type RefusalStage = 'text' | 'name' | 'port' | 'address' | 'dns';

export interface Refusal {
  readonly stage: RefusalStage;
  /** One line: rule, input, and what would allow it. Shows the host, never path or query. */
  readonly reason: string;
}

/** A URL that may be connected to as far as its text says. */
export interface Target {
  /** `https://host:port`, the port left out when it is 443. Safe to show. */
  readonly origin: string;
  /** Lower case, no trailing dot, no brackets. */
  readonly host: string;
  readonly isLiteral: boolean;
  readonly port: number;
  /** Path and query: may be a credential, never shown. */
  readonly path: string;
}

export type Judged =
  | { readonly ok: true; readonly target: Target }
  | { readonly ok: false; readonly refusal: Refusal };

/** Judges a URL by everything that can be known without asking anybody, in the fixed order. */
export function judgeUrl(raw: string, policy: EgressPolicy): Judged {
  const fault = textFault(raw);
  if (fault !== undefined) return refused('text', fault);
  const url = parseUrl(raw);
  if (url?.protocol !== 'https:' || url.username !== '' || url.password !== '') {
    return refused('text', 'the URL cannot be parsed: write https://HOST/PATH');
  }
  const target = targetOf(url);
  const refusal = nameRefusal(target, policy) ?? portRefusal(target) ?? literalRefusal(target, policy);
  return refusal === undefined ? { ok: true, target } : { ok: false, refusal };
}

/** Judges the addresses that a name resolved to: one bad one refuses the name. */
export function judgeAddresses(
  target: Target,
  addresses: readonly string[],
  policy: EgressPolicy,
): Refusal | undefined {
  for (const address of addresses) {
    const fault = addressRefusal(address, target.port, policy);
    if (fault !== undefined) {
      return { stage: 'dns', reason: `blocked: ${target.host} resolves to ${address}${fault}` };
    }
  }
  return undefined;
}

function targetOf(url: URL): Target {
  const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  const family = isIP(host);
  return {
    origin: `https://${family === 6 ? `[${host}]` : host}${url.port === '' ? '' : `:${url.port}`}`,
    host: family === 0 ? host : normalAddress(host),
    isLiteral: family !== 0,
    port: url.port === '' ? 443 : Number(url.port),
    path: `${url.pathname}${url.search}`,
  };
}

function nameRefusal({ host, port, isLiteral }: Target, policy: EgressPolicy): Refusal | undefined {
  if (isLiteral) return undefined;
  const denied = policy.deny.find((rule) => matchesName(rule, host, port));
  if (denied !== undefined) return refusal('name', `${host} is denied by --egress-deny ${denied.text}`);
  const malformed = nameFormFault(host);
  if (malformed !== undefined) return refusal('name', malformed);
  if (policy.allow.some((rule) => matchesName(rule, host, port))) return undefined;
  const fault = nameFault(host);
  return fault === undefined ? undefined : refusal('name', `${fault}; allow it with --egress-allow ${host}`);
}

function portRefusal({ port }: Target): Refusal | undefined {
  const fault = portFault(port);
  return fault === undefined ? undefined : refusal('port', fault);
}

function literalRefusal({ host, port, isLiteral }: Target, policy: EgressPolicy): Refusal | undefined {
  const fault = isLiteral ? addressRefusal(host, port, policy) : undefined;
  return fault === undefined ? undefined : refusal('address', `${host}${fault}`);
}

/** ` (10.0.0.0/8, private); allow it with …`, or undefined when the address may be dialled. */
function addressRefusal(address: string, port: number, policy: EgressPolicy): string | undefined {
  const translated = formsOf(address, policy.nat64);
  const denied = policy.deny.find((rule) =>
    [...translated, ...formsOf(address, mappedIpv4)].some((form) => matchesAddress(rule, form, port)),
  );
  if (denied !== undefined) return `, which is denied by --egress-deny ${denied.text}`;
  if (policy.allow.some((rule) => translated.some((form) => matchesAddress(rule, form, port))))
    return undefined;
  const fault = addressFault(address, policy.nat64);
  const bits = isIP(address) === 4 ? 32 : 128;
  return fault === undefined ? undefined : ` (${fault}); allow it with --egress-allow ${address}/${bits}`;
}

/** An address, and the IPv4 address that it stands for if it is in the prefix. */
function formsOf(address: string, prefix: Cidr | undefined): readonly string[] {
  const carried = prefix === undefined ? undefined : carriedIpv4(address, prefix);
  return carried === undefined ? [address] : [address, carried];
}

function refusal(stage: RefusalStage, what: string): Refusal {
  return { stage, reason: `blocked: ${what}` };
}

function refused(stage: RefusalStage, what: string): Judged {
  return { ok: false, refusal: refusal(stage, what) };
}
