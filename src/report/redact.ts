/** Shorter values are too likely to be ordinary words. */
const minSecretLength = 4;

/** Of a secret at least this long, a part of `partLength` gives enough away to be struck out. */
const minPartedLength = 16;
const maxPartLength = 12;

/**
 * Strikes secret values out of a text that others wrote: a receiver may echo what it was sent, whole or in part,
 * in another case, escaped as URLs, JSON and HTML have it, or in base64 or hex. Meant for short texts.
 */
export function redact(text: string, secretValues: readonly string[]): string {
  const needles = secretValues.flatMap(formsOf).filter(({ length }) => length >= minSecretLength);
  if (needles.length === 0 || text === '') return text;
  const views = viewsOf(text);
  const struck = new Uint8Array(text.length);
  for (const needle of new Set(needles.map(lower))) {
    for (const view of views) strike(view, needle, struck);
  }
  return withoutStruck(text, struck);
}

/** What gives a secret away: itself, or the credential behind `Bearer` and the like, and their encodings. */
function formsOf(secret: string): string[] {
  const [, scheme = '', credential = secret] = /^(basic|bearer|token) +(\S+)$/i.exec(secret) ?? [];
  const plain = /^basic$/i.test(scheme) ? readingsOf(Buffer.from(credential, 'base64')) : [];
  const passwords = plain.map((text) => text.slice(text.indexOf(':') + 1));
  return [credential, ...plain, ...passwords].flatMap((form) =>
    form.length < minSecretLength ? [] : [form, Buffer.from(form).toString('hex'), ...base64Forms(form)],
  );
}

/** Nothing says which of the two is meant. */
function readingsOf(bytes: Buffer): string[] {
  return [bytes.toString('latin1'), bytes.toString('utf8')];
}

/** The base64 of a text wherever it stands in what was encoded, in both alphabets. */
function base64Forms(text: string): string[] {
  const bytes = Buffer.from(text);
  return [0, 1, 2].flatMap((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
    // Characters that hold bits of the neighbours too are not known.
    const known = encoded.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6));
    return [known, known.replaceAll('+', '-').replaceAll('/', '_')];
  });
}

/** A reading of a text: its characters in lower case, and where in the text each begins; one more says the end. */
interface TextView {
  readonly characters: string;
  readonly starts: readonly number[];
}

/** The text as it stands, and with its escapes undone where it has some. */
function viewsOf(text: string): readonly TextView[] {
  const plain = { characters: lower(text), starts: Array.from({ length: text.length + 1 }, (_, at) => at) };
  const unescaped = undoEscapes(text);
  return unescaped.starts.length === plain.starts.length ? [plain] : [plain, unescaped];
}

const escapes =
  /%([0-9a-f]{2})|\\u([0-9a-f]{4})|\\x([0-9a-f]{2})|&#x([0-9a-f]{1,4});|&#(\d{1,5});|&(quot|amp|lt|gt|apos);|\\(["'\\/])/iy;
const named: Readonly<Record<string, string>> = { quot: '"', amp: '&', lt: '<', gt: '>', apos: "'" };

function undoEscapes(text: string): TextView {
  const starts: number[] = [];
  let characters = '';
  for (let at = 0; at < text.length; ) {
    escapes.lastIndex = at;
    const match = escapes.exec(text);
    characters += match === null ? (text[at] ?? '') : unescaped(match);
    starts.push(at);
    at += match === null ? 1 : match[0].length;
  }
  return { characters: lower(characters), starts: [...starts, text.length] };
}

function unescaped([, percent, unicode, byte, hex, decimal, name, itself]: RegExpExecArray): string {
  const code = percent ?? unicode ?? byte ?? hex;
  if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16));
  if (decimal !== undefined) return String.fromCharCode(Number(decimal));
  return name === undefined ? (itself ?? '') : (named[name.toLowerCase()] ?? '');
}

/** Lower case without a change of length, so that places stay what they are: a letter that grows is left alone. */
function lower(text: string): string {
  const lowered = text.toLowerCase();
  if (lowered.length === text.length) return lowered;
  const units = text.split('').map((unit) => {
    const small = unit.toLowerCase();
    return small.length === 1 ? small : unit;
  });
  return units.join('');
}

/** Marks every place where the view shows the needle, or, when it is long, a good part of it. */
function strike({ characters, starts }: TextView, needle: string, struck: Uint8Array): void {
  const part =
    needle.length < minPartedLength ? needle.length : Math.min(Math.floor(needle.length / 2), maxPartLength);
  // Whatever part there is, one of these few places lies in it: most texts are done with after looking there.
  const stride = part - minSecretLength + 1;
  for (let probe = 0; probe + minSecretLength <= characters.length; probe += stride) {
    if (!needle.includes(characters.slice(probe, probe + minSecretLength))) continue;
    for (let at = Math.max(0, probe - stride + 1); at <= probe && at + part <= characters.length; at += 1) {
      if (needle.includes(characters.slice(at, at + part))) struck.fill(1, starts[at], starts[at + part]);
    }
  }
}

function withoutStruck(text: string, struck: Uint8Array): string {
  let kept = '';
  for (let at = 0; at < text.length; at += 1) {
    if (struck[at] === 0) kept += text[at];
    else if (at === 0 || struck[at - 1] === 0) kept += '***';
  }
  return kept;
}
