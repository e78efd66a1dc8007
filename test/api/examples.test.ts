import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkManifest, formatFault, parseManifests } from '../../src/api/manifest.ts';

const directory = join(import.meta.dirname, '..', '..', 'examples');
const files = readdirSync(directory).filter((name) => name.endsWith('.yaml'));

describe('examples', () => {
  it('has the ones the documentation speaks of', () => {
    expect(files).toEqual(
      expect.arrayContaining(['cron.yaml', 'oncall-secret.yaml', 'task-with-hooks.yaml', 'webhook.yaml']),
    );
  });

  it.each(files)('%s holds nothing but resources that a store takes', (name) => {
    const parsed = parseManifests(readFileSync(join(directory, name)), `examples/${name}`);
    const checked = parsed.documents.map(checkManifest);
    const faults = [...parsed.faults, ...checked.flatMap((check) => check.faults)].map(formatFault);
    expect(faults).toEqual([]);
    expect(parsed.documents.length).toBeGreaterThan(0);
  });

  it.each(files)('%s names only Secrets that an example makes', (name) => {
    const made = new Set(
      files.flatMap((file) =>
        parseManifests(readFileSync(join(directory, file)), file)
          .documents.filter(({ object }) => object['kind'] === 'Secret')
          .map(({ object }) => (object['metadata'] as { name: string }).name),
      ),
    );
    const text = JSON.stringify(
      parseManifests(readFileSync(join(directory, name)), name).documents.map(({ object }) => object),
    );
    const named = [...text.matchAll(/"secretRef":\{"name":"([^"]+)"/g)].map((match) => match[1]);
    expect(named.filter((secret) => !made.has(secret ?? ''))).toEqual([]);
  });
});
