import { z } from 'zod';
import { EnvVar, LocalReference, ObjectMeta, type StoredMeta } from './meta.ts';

const namedContent = z.object({ name: z.string().min(1), content: z.string() });
const fromSecret = z.object({ secretRef: LocalReference });

const McpServer = z
  .object({
    name: z.string().min(1),
    type: z.enum(['stdio', 'http', 'sse']),
    command: z.string().optional(),
    args: z.array(z.string()).optional(),
    url: z.string().optional(),
    headers: z.record(z.string(), z.string()).optional(),
    headersFrom: fromSecret.optional(),
    env: z
      .union([z.array(EnvVar), z.record(z.string(), z.string())])
      .optional()
      .describe('A list as in a Pod, or (v1alpha1) name: value.')
      .meta({ 'x-kubernetes-preserve-unknown-fields': true }),
    envFrom: fromSecret.optional(),
  })
  .meta({
    'x-kubernetes-validations': [
      {
        rule: "self.type != 'stdio' || (has(self.command) && size(self.command) > 0)",
        message: 'command is required for type stdio',
      },
      {
        rule: "self.type == 'stdio' || (has(self.url) && size(self.url) > 0)",
        message: 'url is required for types http and sse',
      },
    ],
  });

export const AgentConfigSpec = z.object({
  agentsMD: z.string().optional(),
  plugins: z
    .array(
      z.object({
        name: z.string().min(1),
        skills: z.array(namedContent).optional(),
        agents: z.array(namedContent).optional(),
      }),
    )
    .optional(),
  skills: z
    .array(
      z.object({
        source: z.string().min(1),
        skill: z.string().optional(),
        secretRef: LocalReference.optional(),
        optional: z.boolean().optional(),
      }),
    )
    .optional(),
  mcpServers: z.array(McpServer).max(64).optional(),
});

export const AgentConfigSchema = z.object({
  apiVersion: z.string(),
  kind: z.literal('AgentConfig'),
  metadata: ObjectMeta,
  spec: AgentConfigSpec,
});

/** Instructions, skills and tools that agents are given. */
export type AgentConfig = Omit<z.infer<typeof AgentConfigSchema>, 'metadata'> & { metadata: StoredMeta };
