import { describe, expect, it } from 'vitest';
import { parseHooks } from '../../src/report/hooks-annotation.ts';

const hook = (name: string, webhook: object = { url: 'https://a.example/x?a=1&b=<2>' }): object => ({
  name,
  webhook,
});

describe('annotation kelos.dev/on-completion', () => {
  it('is read in the JSON of Go and of JavaScript alike', () => {
    const plain = JSON.stringify([hook('a')]);
    const go = plain.replaceAll('&', '\\u0026').replaceAll('<', '\\u003c').replaceAll('>', '\\u003e');
    expect(go).not.toBe(plain);
    expect(parseHooks(go)).toEqual(parseHooks(plain));
    expect(parseHooks(go).hooks[0]?.webhook.url).toBe('https://a.example/x?a=1&b=<2>');
  });

  it.each(['', '{', 'null', '"x"', '{"hooks":[]}', '7'])(
    'that is no list of hooks is one invalid hook: %s',
    (text) => {
      const { hooks, invalid } = parseHooks(text);
      expect(hooks).toEqual([]);
      expect(invalid).toEqual([
        { name: 'invalid', message: expect.stringContaining('kelos.dev/on-completion is not') },
      ]);
    },
  );

  it.each([
    ['no name', { webhook: { url: 'https://a.example/' } }, '[1].name', 'invalid-1'],
    ['not an object', 7, '[1]', 'invalid-1'],
    ['plain http', hook('bad', { url: 'http://a.example/' }), '[1].webhook.url', 'bad'],
    ['a password', hook('bad', { url: 'https://u:hunter2@a.example/' }), '[1].webhook.url', 'bad'],
    ['no URL', hook('bad', {}), '[1].webhook: one of url and urlFrom', 'bad'],
    [
      'two URLs',
      hook('bad', { url: 'https://a.example/', urlFrom: { secretKeyRef: { name: 's', key: 'k' } } }),
      'exclude',
      'bad',
    ],
    ['an unknown phase', { ...hook('bad'), phases: ['Running'] }, '[1].phases[0]', 'bad'],
    ['a name that is taken', hook('good'), '[1].name: another hook', 'invalid-1'],
    [
      'contentType alone',
      hook('bad', { url: 'https://a.example/', contentType: 'text/plain' }),
      'contentType',
      'bad',
    ],
  ])('with %s among good hooks keeps the good ones', (_, bad, where, name) => {
    const { hooks, invalid } = parseHooks(JSON.stringify([hook('good'), bad, hook('also-good')]));
    expect(hooks.map((each) => each.name)).toEqual(['good', 'also-good']);
    expect(invalid).toEqual([{ name, message: expect.stringContaining(where) }]);
    expect(invalid[0]?.message).not.toContain('hunter2');
  });

  it('allows @ in a path and leaves out fields that no rule knows', () => {
    const { hooks, invalid } = parseHooks(
      JSON.stringify([{ ...hook('a', { url: 'https://a.example/@me' }), later: 1 }]),
    );
    expect(invalid).toEqual([]);
    expect(hooks).toEqual([{ name: 'a', webhook: { url: 'https://a.example/@me' } }]);
  });

  it('of more than eight hooks tells the first eight and says that there are more', () => {
    const { hooks, invalid } = parseHooks(
      JSON.stringify(Array.from({ length: 12 }, (_, i) => hook(`h${i}`))),
    );
    expect(hooks).toHaveLength(8);
    expect(invalid).toEqual([{ name: 'invalid', message: expect.stringContaining('12 hooks') }]);
  });

  it('names what is wrong so that no hook takes the place of another', () => {
    const names = ['invalid-1', 7, 'invalid', 'a', 'a', 'invalid-4', 'invalid-7', 8, 'b'];
    const list = names.map((name) => (typeof name === 'number' ? name : hook(name)));
    const { hooks, invalid } = parseHooks(JSON.stringify(list));
    expect(hooks.map(({ name }) => name)).toEqual(['invalid-1', 'invalid', 'a', 'invalid-4', 'invalid-7']);
    expect(invalid.map(({ name }) => name)).toEqual([
      'invalid-1-2',
      'invalid-4-2',
      'invalid-7-2',
      'invalid-2',
    ]);
  });

  it('bears whatever depth and size JSON may have', () => {
    expect(parseHooks('['.repeat(100_000)).invalid).toHaveLength(1);
    expect(parseHooks(`${'['.repeat(50_000)}${']'.repeat(50_000)}`).invalid).toHaveLength(1);
  });
});
