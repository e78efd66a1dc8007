import { readFileSync } from 'node:fs';
import { systemClock } from '../../src/base/clock.ts';
import { EgressGuard } from '../../src/egress/guard.ts';
import { parseEgressPolicy } from '../../src/egress/policy.ts';

/** Posts to each URL with the anchors of a file, and writes a line about what came of it. */
async function main([caFile = '', ...urls]: readonly string[]): Promise<void> {
  const caPem = readFileSync(caFile, 'utf8');
  const policy = parseEgressPolicy({ allow: ['127.0.0.0/8'], deny: [], caPem });
  const guard = new EgressGuard(policy, { clock: systemClock });
  const signal = new AbortController().signal;
  for (const url of urls) {
    const outcome = await guard.send({ url, headers: {}, body: '', timeoutMs: 10_000 }, signal);
    console.log(outcome.kind === 'answered' ? outcome.status : outcome.message);
  }
  await guard.close();
}

void main(process.argv.slice(2));
