const newline = 10;

/**
 * Cuts a byte stream into lines and parses each as JSON. Every byte is looked at once, however the pieces fall; empty
 * lines are skipped, a last line without end is left out.
 * @throws Error when a line is longer than `maxLine` bytes or is not JSON
 */
export async function* jsonLines(pieces: AsyncIterable<Buffer>, maxLine: number): AsyncGenerator<unknown> {
  let begun: Buffer[] = [];
  let length = 0;
  for await (const piece of pieces) {
    let start = 0;
    for (let end = piece.indexOf(newline); end !== -1; end = piece.indexOf(newline, start)) {
      const line =
        begun.length === 0 ? piece.subarray(start, end) : Buffer.concat([...begun, piece.subarray(start, end)]);
      begun = [];
      length = 0;
      start = end + 1;
      const text = line.toString('utf8').trim();
      if (text !== '') yield JSON.parse(text);
    }
    if (start < piece.length) begun.push(piece.subarray(start));
    length += piece.length - start;
    if (length > maxLine) throw new Error(`a line is longer than ${maxLine} bytes`);
  }
}
