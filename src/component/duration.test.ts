import { describe, expect, it, test } from 'vitest';
import { humanDuration, parseDuration } from './duration.ts';

describe('parseDuration', () => {
  it.each([
    ['30s', 30_000],
    ['1m30s', 90_000],
    ['1h0m0s', 3_600_000],
    ['1.5h', 5_400_000],
    ['.5s', 500],
    ['500ms', 500],
    ['250us', 0.25],
    ['0s', 0],
    ['0', 0],
  ])('reads %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '30', 's', '-1s', '1 s', '1s ', '1d', '1s30', 'x1s'])('takes %o for no duration', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});

test.each([
  [0, '0s'],
  [119, '119s'],
  [120, '2m'],
  [330, '5m30s'],
  [600, '10m'],
  [179 * 60, '179m'],
  [3 * 3600, '3h'],
  [7 * 3600 + 1800, '7h30m'],
  [47 * 3600, '47h'],
  [52 * 3600, '2d4h'],
  [8 * 86400, '8d'],
  [800 * 86400, '2y70d'],
  [9 * 365 * 86400, '9y'],
])('humanDuration: %i seconds', (seconds, text) => {
  expect(humanDuration(seconds * 1000)).toBe(text);
});
