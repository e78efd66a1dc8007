import type { Command } from 'commander';
import type { EgressOptions, EgressPolicy } from '../egress/policy.ts';
import { collectList } from './flags.ts';
import { readBounded } from './naming-path.ts';

/** The flags that say where Telos may connect. */
export interface EgressFlags {
  readonly egressAllow?: readonly string[];
  readonly egressDeny?: readonly string[];
  readonly egressProxy?: string;
  readonly egressNat64Prefix?: string;
  readonly caFile?: string;
  readonly dnsServer?: readonly string[];
}

/** Declares them; the same on every command that connects. */
export function addEgressFlags(command: Command): Command {
  return command
    .option(
      '--egress-allow <entry>',
      'may be reached although it is not public: CIDR, address, name or *.name, each with :port if need be; repeatable',
      collectList,
    )
    .option('--egress-deny <entry>', 'must never be reached; wins over everything; repeatable', collectList)
    .option('--egress-proxy <url>', 'forward proxy to CONNECT through')
    .option('--egress-nat64-prefix <prefix>', 'NAT64 prefix (/96) of this network')
    .option('--ca-file <file>', 'more trust anchors, PEM')
    .option(
      '--dns-server <address>',
      "ask this server (IP[:PORT]) instead of the system's; repeatable",
      collectList,
    );
}

/** Reads them, the certificates too. @throws CliError when the file of `--ca-file` cannot be read */
export async function readEgressOptions(flags: EgressFlags): Promise<EgressOptions> {
  const { egressAllow, egressDeny, egressProxy, egressNat64Prefix, caFile, dnsServer } = flags;
  return {
    allow: egressAllow ?? [],
    deny: egressDeny ?? [],
    ...(egressProxy === undefined ? {} : { proxy: egressProxy }),
    ...(egressNat64Prefix === undefined ? {} : { nat64Prefix: egressNat64Prefix }),
    ...(caFile === undefined ? {} : { caFile, caPem: await readCaFile(caFile) }),
    ...(dnsServer === undefined ? {} : { dnsServers: dnsServer }),
  };
}

async function readCaFile(path: string): Promise<string> {
  const bytes = await readBounded(path, `--ca-file ${path}`, 'name a file of certificates in PEM form');
  return bytes.toString('utf8');
}

/** The policy that the flags make. @throws EgressConfigError naming the flag and the entry that is wrong */
export async function egressPolicy(flags: EgressFlags): Promise<EgressPolicy> {
  const options = await readEgressOptions(flags);
  const { parseEgressPolicy } = await import('../egress/policy.ts');
  return parseEgressPolicy(options);
}
