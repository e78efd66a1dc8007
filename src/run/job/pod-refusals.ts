import { z } from 'zod';

const Refusal = z.object({
  involvedObject: z.object({ uid: z.string() }),
  message: z.string(),
  lastTimestamp: z.string().nullish(),
  eventTime: z.string().nullish(),
  metadata: z.object({ creationTimestamp: z.string() }),
});

/** The newest words of `FailedCreate` Events, by the uid of the Job that they are about. */
export function newestRefusals(events: readonly unknown[]): ReadonlyMap<string, string> {
  const newest = new Map<string, { readonly at: number; readonly words: string }>();
  for (const event of events) {
    const checked = Refusal.safeParse(event);
    if (!checked.success) continue;
    const { involvedObject, message, lastTimestamp, eventTime, metadata } = checked.data;
    const at = Date.parse(lastTimestamp ?? eventTime ?? metadata.creationTimestamp) || 0;
    const known = newest.get(involvedObject.uid);
    if (known === undefined || known.at <= at) newest.set(involvedObject.uid, { at, words: bare(message) });
  }
  return new Map([...newest].map(([uid, { words }]) => [uid, words]));
}

/** Each try of a Job names another Pod; what is wrong stays the same. */
function bare(message: string): string {
  return message.replace(/^Error creating: (?:pods "[^"]*" is forbidden: )?/, '');
}
