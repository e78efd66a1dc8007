import { isIP } from 'node:net';
import { parseUrl } from '../base/url.ts';
import {
  addressFault,
  carriedFault,
  carriedIpv4,
  isMapped,
  normalAddress,
  standsForIpv4,
} from './address-policy.ts';
import { isLoopbackName, loopbackAddresses, nameFault, nameFormFault } from './name-policy.ts';
import { matchesAddress, matchesName, namesWhatIsCarried, type OperatorRule } from './operator-rules.ts';
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

/**
 * Judges the addresses that a name resolved to: one bad one refuses the name. All bad ones are named, so that one
 * command can allow them.
 */
export function judgeAddresses(
  target: Target,
  addresses: readonly string[],
  policy: EgressPolicy,
): Refusal | undefined {
  const bad = addresses.flatMap((address) => {
    const verdict = judgeAddress(address, target.port, policy);
    return verdict.ok ? [] : [{ address, ...verdict }];
  });
  // When one can never be allowed, what would allow the others is no help.
  const told = bad.some(({ isFinal }) => isFinal) ? bad.filter(({ isFinal }) => isFinal) : bad;
  if (told.length === 0) return undefined;
  const why = told.map(({ address, fault }) => `${address}${fault}`).join(' and ');
  const remedy = told[0]?.isFinal ? '' : allowing(told.map(({ address }) => entryFor(address)));
  return refusal('dns', `${target.host} resolves to ${why}${remedy}`);
}

/** By which rule each address is allowed, for people: an operator's entry, or that it is an ordinary public one. */
export function allowedBy(target: Target, addresses: readonly string[], policy: EgressPolicy): string {
  const rules = addresses.map((address) => {
    if (addressFault(address, policy.nat64) === undefined) return `${address} is public`;
    const rule = policy.allow.find((entry) => allowsAddress(entry, address, target.port, policy));
    return `${address} by --egress-allow ${rule?.text}`;
  });
  return rules.join(', ');
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
  if (fault === undefined) return undefined;
  if (isLoopbackName(host))
    return refusal(
      'name',
      `${fault}${allowing([host, ...loopbackAddresses.map(entryFor)], 'it and its addresses')}`,
    );
  return refusal(
    'name',
    `${fault}${allowing([host])}, and its addresses in the same way if they are not public`,
  );
}

function portRefusal({ port }: Target): Refusal | undefined {
  const fault = portFault(port);
  return fault === undefined ? undefined : refusal('port', fault);
}

function literalRefusal({ host, port, isLiteral }: Target, policy: EgressPolicy): Refusal | undefined {
  if (!isLiteral) return undefined;
  const verdict = judgeAddress(host, port, policy);
  if (verdict.ok) return undefined;
  return refusal('address', `${host}${verdict.fault}${verdict.isFinal ? '' : allowing([entryFor(host)])}`);
}

type AddressVerdict =
  | { readonly ok: true }
  /** `fault` goes behind the address: ` (10.0.0.0/8, private)`. Final: no entry could allow it. */
  | { readonly ok: false; readonly isFinal: boolean; readonly fault: string };

function judgeAddress(address: string, port: number, policy: EgressPolicy): AddressVerdict {
  const { allow, deny, nat64 } = policy;
  const forms = formsOf(address, policy);
  const disguised = standsForIpv4(address);
  const speaksOf = (rule: OperatorRule, addresses: readonly string[]): boolean =>
    addresses.some((form) => matchesAddress(rule, form, port));
  const denied = deny.find((rule) => speaksOf(rule, forms) || speaksOf(rule, disguised));
  if (denied !== undefined)
    return { ok: false, isFinal: true, fault: `, which is denied by --egress-deny ${denied.text}` };
  // A range of IPv6 that happens to hold them says nothing about the IPv4 addresses that would be dialled.
  if (isMapped(address))
    return { ok: false, isFinal: true, fault: ' (mapped IPv4): write the IPv4 address instead' };
  const fault = addressFault(address, nat64);
  if (fault === undefined) return { ok: true };
  const allowing = allow.filter((rule) => allowsAddress(rule, address, port, policy));
  if (allowing.length === 0) return { ok: false, isFinal: false, fault: ` (${fault})` };
  if (allowing.some(namesWhatIsCarried)) return { ok: true };
  const smuggled = [...new Set([...forms.slice(1), ...disguised])].filter(
    (four) => !allow.some((rule) => matchesAddress(rule, four, port)),
  );
  const hidden = carriedFault(address, smuggled);
  return hidden === undefined ? { ok: true } : { ok: false, isFinal: false, fault: ` (${hidden})` };
}

/** The address, and behind the operator's NAT64 prefix the IPv4 address that it carries. */
function formsOf(address: string, { nat64 }: EgressPolicy): readonly string[] {
  const carried = nat64 === undefined ? undefined : carriedIpv4(address, nat64);
  return carried === undefined ? [address] : [address, carried];
}

function allowsAddress(rule: OperatorRule, address: string, port: number, policy: EgressPolicy): boolean {
  return formsOf(address, policy).some((form) => matchesAddress(rule, form, port));
}

/** `; allow it with --egress-allow …`: works when it is added as it stands. */
function allowing(entries: readonly string[], what = entries.length === 1 ? 'it' : 'them'): string {
  const flags = entries.map((entry) => `--egress-allow ${entry}`).join(' ');
  return `; allow ${what} with ${flags}`;
}

/** The entry that allows one address. */
function entryFor(address: string): string {
  return `${address}/${isIP(address) === 4 ? 32 : 128}`;
}

function refusal(stage: RefusalStage, what: string): Refusal {
  return { stage, reason: `blocked: ${what}` };
}

function refused(stage: RefusalStage, what: string): Judged {
  return { ok: false, refusal: refusal(stage, what) };
}
