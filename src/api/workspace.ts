import { z } from 'zod';
import { LocalReference, ObjectMeta, type StoredMeta } from './meta.ts';
import { gitUrl } from './pattern.ts';

const GitUrl = z.string().regex(gitUrl);

export const WorkspaceSpec = z.object({
  repo: GitUrl.describe('The git repository to clone.'),
  ref: z.string().optional(),
  clone: z.object({ branches: z.enum(['All', 'Single']).optional() }).optional(),
  secretRef: LocalReference.optional(),
  ghproxy: z
    .record(z.string(), z.unknown())
    .meta({ 'x-kubernetes-preserve-unknown-fields': true })
    .optional(),
  remotes: z
    .array(z.object({ name: z.string().min(1), url: GitUrl }))
    .max(64)
    .optional()
    .meta({
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      'x-kubernetes-validations': [
        { rule: "self.all(r, r.name != 'origin')", message: "remote name 'origin' is taken by the clone" },
      ],
    }),
  files: z.array(z.object({ path: z.string().min(1), content: z.string() })).optional(),
  setupCommand: z.array(z.string()).min(1).optional(),
});

export const WorkspaceSchema = z.object({
  apiVersion: z.string(),
  kind: z.literal('Workspace'),
  metadata: ObjectMeta,
  spec: WorkspaceSpec,
});

/** The repository that an agent works in. */
export type Workspace = Omit<z.infer<typeof WorkspaceSchema>, 'metadata'> & { metadata: StoredMeta };
