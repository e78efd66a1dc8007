import { describe, expect, test } from 'vitest';
import { type EgressOptions, parseEgressPolicy } from '../../src/egress/policy.ts';
import { judgeAddresses, judgeUrl, type RefusalStage, type Target } from '../../src/egress/target.ts';

const policy = (options: Partial<EgressOptions> = {}) =>
  parseEgressPolicy({ allow: [], deny: [], ...options });
const strict = policy();

function stageOf(url: string, options: Partial<EgressOptions> = {}): RefusalStage | undefined {
  const judged = judgeUrl(url, policy(options));
  return judged.ok ? undefined : judged.refusal.stage;
}

function reasonOf(url: string, options: Partial<EgressOptions> = {}): string {
  const judged = judgeUrl(url, policy(options));
  return judged.ok ? 'allowed' : judged.refusal.reason;
}

function targetOf(url: string): Target {
  const judged = judgeUrl(url, strict);
  if (!judged.ok) throw new Error(judged.refusal.reason);
  return judged.target;
}

describe('the text of a URL', () => {
  test.each([
    '',
    'hooks.example.com',
    'http://hooks.example.com/',
    'HTTPS://hooks.example.com/',
    'https:hooks.example.com',
    'https:/hooks.example.com',
    'https:/\\hooks.example.com',
    'https:\\\\hooks.example.com',
    'https:///hooks.example.com',
    'https://',
    'https:///',
    'https://?hooks.example.com',
    'https://#hooks.example.com',
    ' https://hooks.example.com/',
    'https://hooks.example.com/ ',
    'https://hooks.example.com/a b',
    'https://hooks.example.com/a\tb',
    'ht\ntps://hooks.example.com/',
    'https://hooks.exam\nple.com/',
    'https://hooks.example.com\r\n/',
    'https://hooks.example.com\u0000/',
    'https://hooks.example.com/\u007f',
    'https://hooks.example.com/\u0085',
    'https://hooks.ex\u00adample.com/',
    'https://hooks.ex\u200bample.com/',
    'https://hooks.example.com/\u202e',
    'https://\ufeffhooks.example.com/',
    'https://hooks.example.com/\u00a0',
    'https://hooks.example.com\\@10.0.0.1/',
    'https://hooks.example.com\\.evil.example/',
    'https://user@hooks.example.com/',
    'https://user:password@hooks.example.com/',
    'https://:@hooks.example.com/',
    'https://@hooks.example.com/',
    'https://hooks.example.com@10.0.0.1/',
    'https://hooks.example.com:443@10.0.0.1/',
    'https://[::1/',
    'https://[::1%25lo]/',
    'https://1.2.3.4.5/',
    'https://256.256.256.256/',
    'https://hooks.example.com:65536/',
    'https://hooks.example.com:port/',
    'https://hooks%2eexample%2fcom/',
    'https://hooks%00.example.com/',
    'https://xn--a/',
    `https://hooks.example.com/${'a'.repeat(2048)}`,
    `https://${'a.'.repeat(100_000)}com/`,
    'ftp://hooks.example.com/',
    'javascript:alert(1)',
    'file:///etc/passwd',
    'wss://hooks.example.com/',
  ])('is refused before anything else: %j', (url) => {
    expect(stageOf(url)).toBe('text');
  });

  test('may be 2048 characters long, and not one more', () => {
    const longest = 'https://hooks.example.com/'.padEnd(2048, 'a');
    expect(stageOf(longest)).toBeUndefined();
    expect(stageOf(`${longest}a`)).toBe('text');
  });

  test.each([
    'https://hooks.example.com/@user?to=a@b.example#@',
    'https://hooks.example.com?to=a@b.example',
    'https://hooks.example.com/a//b/../c;d=%0A%5C',
    'https://hooks.example.com:8443/',
    'https://xn--bcher-kva.example/',
    'https://bücher.example/',
    'https://a_b.example.com/',
    'https://8.8.8.8/',
    'https://[2606:4700::1111]/',
  ])('is allowed: %s', (url) => {
    expect(reasonOf(url)).toBe('allowed');
  });

  test('is judged the same however often it was judged before', () => {
    const judge = () => judgeUrl('https://bücher.example/', strict).ok;
    for (let round = 0; round < 20_000; round += 1)
      judgeUrl(`https://hooks.example.com/${round % 7}`, strict);
    expect(Array.from({ length: 100 }, judge)).toEqual(Array.from({ length: 100 }, () => true));
  });

  test('says which form is right', () => {
    expect(reasonOf('http://hooks.example.com/')).toBe('blocked: the URL must start with https://');
    expect(reasonOf('https://a:b@hooks.example.com/')).toBe(
      'blocked: the URL holds a user or password: send credentials as headers',
    );
  });
});

describe('a target', () => {
  test('is the same whatever the case of the host, a trailing dot and the default port', () => {
    const plain = targetOf('https://hooks.example.com/x');
    expect(plain).toEqual({
      origin: 'https://hooks.example.com',
      host: 'hooks.example.com',
      isLiteral: false,
      port: 443,
      path: '/x',
    });
    expect(targetOf('https://HOOKS.Example.COM/x')).toEqual(plain);
    expect(targetOf('https://hooks.example.com./x')).toEqual(plain);
    expect(targetOf('https://hooks.example.com:443/x')).toEqual(plain);
    expect(targetOf('https://hooks。example．com/x')).toEqual(plain);
    expect(targetOf('https://hooks%2Eexample.com/x#fragment')).toEqual(plain);
  });

  test('keeps path and query as they were written, and drops the fragment', () => {
    expect(targetOf('https://hooks.example.com/a%2Fb/?q=%20&r=/..#f').path).toBe('/a%2Fb/?q=%20&r=/..');
  });

  test('shows an IPv6 address in brackets in its origin and without them as host', () => {
    expect(targetOf('https://[2606:4700:0:0::1111]:8443/')).toMatchObject({
      origin: 'https://[2606:4700::1111]:8443',
      host: '2606:4700::1111',
      isLiteral: true,
      port: 8443,
    });
  });
});

describe('the name of a host', () => {
  test.each([
    'localhost',
    'LOCALHOST',
    'localhost.',
    'a.localhost',
    'printer.local',
    'metadata.google.internal',
    'telos.default.svc',
    'telos.default.svc.cluster.local',
    'router.home.arpa',
    'home.arpa',
    'nas.lan',
    'abc.onion',
    'intranet',
    'kubernetes',
    'com',
    'ｌocalhost',
    'local%68ost',
    'a..example.com',
    'example.com..',
    '.example.com',
    `${'a'.repeat(64)}.example.com`,
    `${'a.'.repeat(130)}example.com`,
    '*.example.com',
    "it's.example.com",
    'a,b.example.com',
  ])('is refused: %s', (host) => {
    expect(stageOf(`https://${host}/`)).toBe('name');
  });

  test.each(['mylocalhost.com', 'local.example.com', 'lan.com', 'svc.example', 'cluster.local.example.com'])(
    'is judged on label boundaries: %s is allowed',
    (host) => {
      expect(reasonOf(`https://${host}/`)).toBe('allowed');
    },
  );

  test('may have labels of 63 characters and 253 in all', () => {
    const label = 'a'.repeat(63);
    const longest = [label, label, label, 'b'.repeat(61)].join('.');
    expect(longest).toHaveLength(253);
    expect(reasonOf(`https://${longest}/`)).toBe('allowed');
    expect(stageOf(`https://b${longest}/`)).toBe('name');
  });

  test('is told with what would allow it', () => {
    expect(reasonOf('https://telos.default.svc:8443/secret?token=secret')).toBe(
      'blocked: telos.default.svc is a local name (.svc); allow it with --egress-allow telos.default.svc, and its addresses in the same way if they are not public',
    );
    expect(reasonOf('https://intranet/')).toBe(
      'blocked: intranet is a single-label name; allow it with --egress-allow intranet, and its addresses in the same way if they are not public',
    );
  });

  test('is told with all that would allow localhost, and that does', () => {
    const url = 'https://localhost:8443/secret';
    const reason = reasonOf(url);
    expect(reason).toBe(
      'blocked: localhost is a local name (.localhost); allow it and its addresses with --egress-allow localhost --egress-allow 127.0.0.1/32 --egress-allow ::1/128',
    );
    const allow = [...reason.matchAll(/--egress-allow (\S+)/g)].map(([, entry = '']) => entry);
    const judged = judgeUrl(url, policy({ allow }));
    expect(judged.ok).toBe(true);
    if (judged.ok)
      expect(judgeAddresses(judged.target, ['127.0.0.1', '::1'], policy({ allow }))).toBeUndefined();
  });

  test('is lifted by an entry for it, for its port, and for nothing else', () => {
    const allow = ['intranet', 'a.svc:8443', '*.lan'];
    expect(stageOf('https://intranet/', { allow })).toBeUndefined();
    expect(stageOf('https://Intranet.:9443/', { allow })).toBeUndefined();
    expect(stageOf('https://a.svc:8443/', { allow })).toBeUndefined();
    expect(stageOf('https://a.svc/', { allow })).toBe('name');
    expect(stageOf('https://b.a.svc:8443/', { allow })).toBe('name');
    expect(stageOf('https://nas.lan/', { allow })).toBeUndefined();
    expect(stageOf('https://a.nas.lan/', { allow })).toBeUndefined();
    expect(stageOf('https://lan/', { allow })).toBe('name');
    expect(stageOf('https://notlan/', { allow })).toBe('name');
    expect(stageOf('http://intranet/', { allow })).toBe('text');
    expect(stageOf('https://user@intranet/', { allow })).toBe('text');
  });

  test('is refused when it is denied, whatever allows it', () => {
    const options = {
      allow: ['evil.example.com', '*.example.org'],
      deny: ['evil.example.com', '*.bad.example.org'],
    };
    expect(reasonOf('https://EVIL.example.com./', options)).toBe(
      'blocked: evil.example.com is denied by --egress-deny evil.example.com',
    );
    expect(stageOf('https://a.bad.example.org/', options)).toBe('name');
    expect(stageOf('https://bad.example.org/', options)).toBeUndefined();
    expect(stageOf('https://notbad.example.org/', options)).toBeUndefined();
  });
});

describe('the port', () => {
  test.each([0, 1, 22, 25, 53, 110, 143, 389, 587, 636, 989, 2049, 5060, 6000, 6667, 10080])(
    '%i belongs to another service and is refused, allowed host or not',
    (port) => {
      expect(stageOf(`https://hooks.example.com:${port}/`)).toBe('port');
      expect(stageOf(`https://hooks.example.com:${port}/`, { allow: [`hooks.example.com`] })).toBe('port');
      expect(stageOf(`https://8.8.8.8:${port}/`)).toBe('port');
    },
  );

  test.each([80, 443, 444, 6443, 8443, 9200, 65535])('%i is allowed', (port) => {
    expect(stageOf(`https://hooks.example.com:${port}/`)).toBeUndefined();
  });
});

describe('addresses', () => {
  test('a literal is judged where it stands', () => {
    expect(reasonOf('https://10.1.2.3/secret?token=secret')).toBe(
      'blocked: 10.1.2.3 (10.0.0.0/8, private); allow it with --egress-allow 10.1.2.3/32',
    );
    expect(reasonOf('https://[::1]/')).toBe(
      'blocked: ::1 (outside 2000::/3, not global unicast); allow it with --egress-allow ::1/128',
    );
    expect(stageOf('https://10.1.2.3/')).toBe('address');
  });

  test('one bad answer refuses the name, wherever it stands', () => {
    const target = targetOf('https://hooks.example.com/secret?token=secret');
    const refusal = {
      stage: 'dns',
      reason:
        'blocked: hooks.example.com resolves to 10.1.2.3 (10.0.0.0/8, private); allow it with --egress-allow 10.1.2.3/32',
    };
    expect(judgeAddresses(target, ['10.1.2.3', '8.8.8.8'], strict)).toEqual(refusal);
    expect(judgeAddresses(target, ['8.8.8.8', '2606:4700::1111', '10.1.2.3'], strict)).toEqual(refusal);
    expect(judgeAddresses(target, ['8.8.8.8', '2606:4700::1111'], strict)).toBeUndefined();
  });

  test('a range lifts the rule for itself and its port, and no more', () => {
    const options = { allow: ['10.0.0.0/8', '127.0.0.1:8443', '[::1]:8443', 'fd00::/8'] };
    expect(stageOf('https://10.255.255.255/', options)).toBeUndefined();
    expect(stageOf('https://127.0.0.1:8443/', options)).toBeUndefined();
    expect(stageOf('https://127.0.0.1/', options)).toBe('address');
    expect(stageOf('https://127.0.0.2:8443/', options)).toBe('address');
    expect(stageOf('https://[::1]:8443/', options)).toBeUndefined();
    expect(stageOf('https://[::1]/', options)).toBe('address');
    expect(stageOf('https://[fdff::1]/', options)).toBeUndefined();
    expect(stageOf('https://[fc00::1]/', options)).toBe('address');
    expect(stageOf('https://[::ffff:10.0.0.1]/', options)).toBe('address');
  });

  test('an allowed name still needs allowed addresses, and the refusal names them all', () => {
    const target = targetOf('https://hooks.example.com/');
    const addresses = ['127.0.0.1', '8.8.8.8', 'fd00::1'];
    const refusal = judgeAddresses(target, addresses, policy({ allow: ['hooks.example.com'] }));
    expect(refusal).toEqual({
      stage: 'dns',
      reason:
        'blocked: hooks.example.com resolves to 127.0.0.1 (127.0.0.0/8, loopback) and fd00::1 (outside 2000::/3, not global unicast); allow them with --egress-allow 127.0.0.1/32 --egress-allow fd00::1/128',
    });
    const allow = [...(refusal?.reason ?? '').matchAll(/--egress-allow (\S+)/g)].map(
      ([, entry = '']) => entry,
    );
    expect(judgeAddresses(target, addresses, policy({ allow }))).toBeUndefined();
  });

  test('no remedy is told where none helps', () => {
    const options = { allow: ['hooks.example.com'], deny: ['10.0.0.0/8'] };
    expect(
      judgeAddresses(targetOf('https://hooks.example.com/'), ['127.0.0.1', '10.1.2.3'], policy(options))
        ?.reason,
    ).toBe('blocked: hooks.example.com resolves to 10.1.2.3, which is denied by --egress-deny 10.0.0.0/8');
    expect(reasonOf('https://[::ffff:10.1.2.3]/')).toBe(
      'blocked: ::ffff:a01:203 (mapped IPv4): write the IPv4 address instead',
    );
  });

  test('allowing a range of IPv6 allows no IPv4 in its clothes', () => {
    for (const entry of ['::/0', '::/1', '::/64']) {
      expect(reasonOf('https://[::ffff:169.254.169.254]/', { allow: [entry] })).toContain('mapped IPv4');
      const target = targetOf('https://hooks.example.com/');
      expect(judgeAddresses(target, ['::ffff:a9fe:a9fe'], policy({ allow: [entry] }))?.stage).toBe('dns');
    }
  });

  test('deny wins over everything', () => {
    const options = { allow: ['0.0.0.0/0', '::/0'], deny: ['10.0.0.0/8', '8.8.8.8:8443', '2606:4700::/32'] };
    expect(reasonOf('https://10.1.2.3/', options)).toBe(
      'blocked: 10.1.2.3, which is denied by --egress-deny 10.0.0.0/8',
    );
    expect(stageOf('https://8.8.8.8:8443/', options)).toBe('address');
    expect(stageOf('https://8.8.8.8/', options)).toBeUndefined();
    expect(stageOf('https://[2606:4700::1111]/', options)).toBe('address');
    expect(
      judgeAddresses(targetOf('https://hooks.example.com/'), ['10.1.2.3'], policy(options))?.reason,
    ).toBe('blocked: hooks.example.com resolves to 10.1.2.3, which is denied by --egress-deny 10.0.0.0/8');
  });

  test.each([
    '::8.8.8.8',
    '::ffff:0:8.8.8.8',
    '64:ff9b::8.8.8.8',
    '64:ff9b:1::8.8.8.8',
    '64:ff9b:1:2:3:4:808:808',
    '2002:808:808::1',
    '2001:0:808:808::1',
    '2001:0:1:1:0:0:f7f7:f7f7',
    '2606:4700::5efe:8.8.8.8',
    'fe80::200:5efe:8.8.8.8',
    'fd64::8.8.8.8',
  ])('what is denied as IPv4 is denied in the clothes of IPv6: %s', (address) => {
    const open = { allow: ['::/0', '0.0.0.0/0'], nat64Prefix: 'fd64::/96' };
    expect(stageOf(`https://[${address}]/`, { ...open, deny: ['8.8.8.0/24'] })).toBe('address');
    // Mapped IPv4 is refused whatever is denied.
    const otherwise = address.startsWith('::ffff:8') ? 'address' : undefined;
    expect(stageOf(`https://[${address}]/`, { ...open, deny: ['8.8.4.4'] })).toBe(otherwise);
  });

  test.each(['::/0', '::/1', '::/79', '0.0.0.0/0'])(
    'a mapped address is refused, though %s is allowed',
    (entry) => {
      const mapped = 'mapped IPv4): write the IPv4 address instead';
      const options = { allow: [entry] };
      expect(reasonOf('https://[::ffff:169.254.169.254]/', options)).toContain(mapped);
      expect(reasonOf('https://[::ffff:8.8.8.8]/', options)).toContain(mapped);
      expect(
        judgeAddresses(targetOf('https://hooks.example.com/'), ['::ffff:10.1.2.3'], policy(options))?.reason,
      ).toContain(mapped);
    },
  );

  test('what is denied as IPv4 is said to be denied when it is mapped', () => {
    expect(reasonOf('https://[::ffff:8.8.8.8]/', { allow: ['::/0'], deny: ['8.8.8.8'] })).toContain(
      'denied by --egress-deny 8.8.8.8',
    );
  });

  test.each([
    '::169.254.169.254',
    '::ffff:0:169.254.169.254',
    '64:ff9b::169.254.169.254',
    '64:ff9b:1::169.254.169.254',
    '2002:a9fe:a9fe::1',
    '2001:0:a9fe:a9fe:0:0:f7f7:f7f7',
    'fd00::5efe:169.254.169.254',
    'fd64::169.254.169.254',
  ])('a wide range of IPv6 does not allow the refused IPv4 that %s carries', (address) => {
    const url = `https://[${address}]/`;
    const nat64Prefix = 'fd64::/96';
    for (const allow of [['::/0'], ['::/0', '10.0.0.0/8']]) {
      const reason = reasonOf(url, { allow, nat64Prefix });
      expect(reason).toContain('(carries 169.254.169.254: 169.254.0.0/16, link-local); allow it with');
      const [, remedy = ''] = /--egress-allow (\S+)/.exec(reason) ?? [];
      expect(stageOf(url, { allow: [...allow, remedy], nat64Prefix })).toBeUndefined();
    }
    expect(stageOf(url, { allow: ['::/0', '169.254.169.254'], nat64Prefix })).toBeUndefined();
  });

  test('a wide range of IPv6 allows what carries no IPv4, or ordinary IPv4', () => {
    const options = { allow: ['::/0'] };
    for (const address of ['::1', 'fd00::1', 'fe80::1', '64:ff9b::8.8.8.8', '2002:808:808::1'])
      expect(stageOf(`https://[${address}]/`, options)).toBeUndefined();
  });

  test('a range of IPv6 as narrow as IPv4 allows what it carries', () => {
    expect(stageOf('https://[64:ff9b::10.1.2.3]/', { allow: ['64:ff9b::/96'] })).toBeUndefined();
    expect(stageOf('https://[64:ff9b::10.1.2.3]/', { allow: ['64:ff9b::/95'] })).toBe('address');
  });

  test('what is denied for a port, or as IPv6, is no more than that', () => {
    const options = { allow: ['::/0', '0.0.0.0/0'], deny: ['8.8.8.8:8443', '::/96'] };
    expect(stageOf('https://[2002:808:808::1]:8443/', options)).toBe('address');
    expect(stageOf('https://[2002:808:808::1]/', options)).toBeUndefined();
    expect(stageOf('https://[::8.8.8.8]/', options)).toBe('address');
    expect(stageOf('https://8.8.8.8/', options)).toBeUndefined();
  });

  test('an address behind the NAT64 prefix is judged as the IPv4 address it carries', () => {
    const options = { nat64Prefix: '64:ff9b::/96', allow: ['10.1.0.0/16'] };
    expect(stageOf('https://[64:ff9b::8.8.8.8]/', options)).toBeUndefined();
    expect(stageOf('https://[64:ff9b::10.2.0.1]/', options)).toBe('address');
    expect(stageOf('https://[64:ff9b::10.1.0.1]/', options)).toBeUndefined();
    expect(stageOf('https://[64:ff9b:1::8.8.8.8]/', options)).toBe('address');
    expect(stageOf('https://[64:ff9b::8.8.8.8]/')).toBe('address');
  });
});
