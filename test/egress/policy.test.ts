import { describe, expect, test } from 'vitest';
import { makeCertificate } from '../../src/cli/demo/certificate.ts';
import { parseOperatorRule } from '../../src/egress/operator-rules.ts';
import { EgressConfigError, type EgressOptions, parseEgressPolicy } from '../../src/egress/policy.ts';

describe('an entry of --egress-allow or --egress-deny', () => {
  test.each([
    ['10.0.0.0/8', { kind: 'range', text: '10.0.0.0/8', port: undefined }],
    ['0.0.0.0/0', { kind: 'range', text: '0.0.0.0/0', port: undefined }],
    ['10.1.2.3', { kind: 'range', text: '10.1.2.3/32', port: undefined }],
    ['10.0.0.0/8:8443', { kind: 'range', text: '10.0.0.0/8', port: 8443 }],
    ['10.1.2.3:443', { kind: 'range', text: '10.1.2.3/32', port: 443 }],
    ['FD00::/8', { kind: 'range', text: 'fd00::/8', port: undefined }],
    ['::1', { kind: 'range', text: '::1/128', port: undefined }],
    ['[::1]', { kind: 'range', text: '::1/128', port: undefined }],
    ['[::1]:8443', { kind: 'range', text: '::1/128', port: 8443 }],
    ['[fd00::/8]:8443', { kind: 'range', text: 'fd00::/8', port: 8443 }],
    [' Hooks.Example.com. ', { kind: 'name', name: 'hooks.example.com', suffix: false, port: undefined }],
    ['localhost:8443', { kind: 'name', name: 'localhost', suffix: false, port: 8443 }],
    ['*.example.com', { kind: 'name', name: 'example.com', suffix: true, port: undefined }],
    ['Bücher.Example', { kind: 'name', name: 'xn--bcher-kva.example', suffix: false, port: undefined }],
    ['*.BÜCHER.example:8443', { kind: 'name', name: 'xn--bcher-kva.example', suffix: true, port: 8443 }],
    ['hooks。example．com', { kind: 'name', name: 'hooks.example.com', suffix: false, port: undefined }],
    ['ｈooks.example.com', { kind: 'name', name: 'hooks.example.com', suffix: false, port: undefined }],
    ['*.svc:65535', { kind: 'name', name: 'svc', suffix: true, port: 65535 }],
  ])('is understood: %j', (entry, rule) => {
    const parsed = parseOperatorRule(entry);
    expect(
      parsed?.kind === 'range' ? { kind: 'range', text: parsed.cidr.text, port: parsed.port } : parsed,
    ).toMatchObject(rule);
  });

  test.each([
    '',
    ' ',
    '*',
    '*.',
    '*example.com',
    'a.*.example.com',
    '*.*.example.com',
    '.example.com',
    'a..example.com',
    '-a.example.com',
    'https://example.com',
    'example.com/path',
    'user@example.com',
    'example.com:',
    'example.com:0',
    'example.com:65536',
    'example.com:https',
    'example.com:443:443',
    '10.0.0.1/8',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0/8',
    '10.0.0.256',
    '1.2.3',
    '127.1',
    '127.1:8443',
    '2130706433',
    '0x7f.1',
    '0x7F000001',
    '0177.0.0.1',
    '010.0.0.1',
    '127.0.0.1.',
    '*.127.0.0.1',
    '１２７.0.0.1',
    '①②⑦.⓪.⓪.①',
    '%31%32%37.1',
    'a.0x7',
    'a.1',
    'local%68ost',
    'local\u00adhost',
    'localhost\u0000',
    'localhost\u200b',
    'localhost#',
    'localhost?',
    'xn--a',
    '::ffff:127.0.0.1',
    '[::ffff:7f00:1]:8443',
    '::ffff:10.0.0.0/104',
    '[fe80::1%25eth0]',
    '[::1%lo]:8443',
    '::1:::',
    'fd00::1/8',
    'fd00::/129',
    'fe80::1%eth0',
    '[::1',
    '::1]:443',
    '[example.com]:443',
    '[10.0.0.1]:443',
    `${'a'.repeat(64)}.example.com`,
  ])('is refused in one line that names flag, entry and right form: %j', (entry) => {
    for (const flag of ['allow', 'deny'] as const) {
      const thrown = failure({ [flag]: [entry] });
      expect(thrown).toBeInstanceOf(EgressConfigError);
      expect(thrown.message).toContain(`--egress-${flag}: ${JSON.stringify(entry)}: write a CIDR`);
      expect(thrown.message).not.toContain('\n');
    }
  });
});

describe('an IPv6 address that may be one with a port', () => {
  test.each(['::1:8443', 'fd00::1:443', '2606:4700::1111:53'])(
    'is refused, with both ways to write it: %s',
    (entry) => {
      const [, address = '', port = ''] = /^(.*):(\d+)$/.exec(entry) ?? [];
      for (const [flag, options] of [
        ['--egress-allow', { allow: [entry] }],
        ['--egress-deny', { deny: [entry] }],
        ['--dns-server', { dnsServers: [entry] }],
      ] as const)
        expect(failure(options).message).toBe(
          `${flag}: "${entry}": write [${address}]:${port} for a port, [${entry}] for an address`,
        );
    },
  );

  test.each([
    '[::1:8443]',
    '::1:8443/128',
    'fd00:10:244::1:2',
    '2001:db8:1:2:3:4:5:80',
    '::1:abcd',
    '::1:08',
    'fd00::80',
  ])('is taken when it can be nothing else: %s', (entry) => {
    expect(parseEgressPolicy({ allow: [entry], deny: [] }).allow).toMatchObject([
      { kind: 'range', port: undefined },
    ]);
  });
});

describe('the other flags', () => {
  test.each([
    [{ nat64Prefix: '64:ff9b::/64' }, '--egress-nat64-prefix: "64:ff9b::/64": '],
    [{ nat64Prefix: '10.0.0.0/8' }, '--egress-nat64-prefix: "10.0.0.0/8": '],
    [{ dnsServers: ['dns.example.com'] }, '--dns-server: "dns.example.com": '],
    [{ dnsServers: ['1.1.1.1:0'] }, '--dns-server: "1.1.1.1:0": '],
    [{ dnsServers: ['1.1.1.1:65536'] }, '--dns-server: "1.1.1.1:65536": '],
    [{ caPem: '' }, '--ca-file: "…": '],
    [{ caPem: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' }, '--ca-file: "…": '],
    [{ proxy: 'socks5://proxy.example.com' }, '--egress-proxy: "…": '],
    [{ proxy: 'http://user:hunter2@proxy.example.com/path' }, '--egress-proxy: "…": '],
    [{ proxy: 'http://user:100%25%zz@proxy.example.com' }, '--egress-proxy: "…": '],
    [{ proxy: 'http://user:hunter2@proxy.example.com:port' }, '--egress-proxy: "…": '],
    [{ proxy: 'http://user:hunter2%25%zz@proxy.example.com' }, '--egress-proxy: "…": '],
    [{ proxy: 'http://us%er:hunter2@proxy.example.com' }, '--egress-proxy: "…": '],
    [{ proxy: 'http://user:hunter2%ff@proxy.example.com' }, '--egress-proxy: "…": '],
  ])('are refused by name: %j', (options, beginning) => {
    const { message } = failure(options);
    expect(message.startsWith(beginning), message).toBe(true);
    expect(message).not.toContain('hunter2');
    expect(message).not.toContain('\n');
  });

  test('take DNS servers with and without a port, of both families', () => {
    const dnsServers = [
      '1.1.1.1',
      '1.1.1.1:5353',
      '2606:4700::1111',
      '[2606:4700::1111]',
      '[2606:4700::1111]:5353',
    ];
    expect(parseEgressPolicy({ allow: [], deny: [], dnsServers }).dnsServers).toEqual([
      '1.1.1.1:53',
      '1.1.1.1:5353',
      '[2606:4700::1111]:53',
      '[2606:4700::1111]:53',
      '[2606:4700::1111]:5353',
    ]);
  });

  test('take every certificate of the file, whatever stands between them', async () => {
    const [one, two] = await Promise.all([makeCertificate(), makeCertificate()]);
    const { caPem } = parseEgressPolicy({
      allow: [],
      deny: [],
      caPem: `# one\n${one.certPem}\nsome text\n${two.certPem}\n`,
    });
    expect(caPem?.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
  });
});

function failure(options: Partial<EgressOptions>): Error {
  try {
    parseEgressPolicy({ allow: [], deny: [], ...options });
  } catch (thrown) {
    if (thrown instanceof Error) return thrown;
  }
  throw new Error('nothing was refused');
}
