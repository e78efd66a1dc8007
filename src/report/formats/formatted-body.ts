/** What a format makes of a payload. The same payload and hook give the same bytes on each attempt. */
export interface FormattedBody {
  readonly contentType: string;
  /** Headers that belong to the format, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}
